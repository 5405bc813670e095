// Stand-ins for what the generated class uses of Android, with the signatures that it publishes:
// https://developer.android.com/reference/android/content/res/AssetManager
package android.content.res

import java.io.File
import java.io.InputStream

class AssetManager(private val folder: File) {
    fun open(fileName: String): InputStream = File(folder, fileName).inputStream()
}
