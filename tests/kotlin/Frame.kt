// The picture in the working directory, which is as ExifInterface.kt describes it, as a camera hands it over.
package app

import android.graphics.Bitmap
import java.io.DataInputStream
import java.io.File

fun frame(): Bitmap {
    val data = DataInputStream(File("picture").inputStream().buffered())
    data.readInt()
    val (width, height) = Pair(data.readInt(), data.readInt())
    return Bitmap(width, height, IntArray(width * height) { data.readInt() }, Bitmap.Config.HARDWARE)
}
