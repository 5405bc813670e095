// Stand-in with the signatures of https://developer.android.com/reference/android/net/Uri
package android.net

class Uri private constructor(private val text: String) {
    override fun toString() = text

    companion object {
        @JvmStatic
        fun parse(uriString: String) = Uri(uriString)
    }
}
