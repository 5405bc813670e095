// Stand-in: the documentation's example is compiled against it and does not run.
// https://developer.android.com/reference/android/util/Log
package android.util

object Log {
    @JvmStatic
    fun i(tag: String?, msg: String): Int = "$tag: $msg".length
}
