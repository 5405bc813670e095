// Stand-in with the signatures of https://developer.android.com/reference/android/media/ExifInterface, whose constructor
// for streams is of SDK 24. A picture of these tests is EXIF's orientation, width, height and pixels, as big-endian ints.
package android.media

import java.io.DataInputStream
import java.io.InputStream

class ExifInterface(inputStream: InputStream) {
    private val orientation = DataInputStream(inputStream).readInt()

    fun getAttributeInt(tag: String, defaultValue: Int): Int =
        if (tag == TAG_ORIENTATION && orientation != ORIENTATION_UNDEFINED) orientation else defaultValue

    companion object {
        const val TAG_ORIENTATION = "Orientation"
        const val ORIENTATION_UNDEFINED = 0
        const val ORIENTATION_NORMAL = 1
        const val ORIENTATION_FLIP_HORIZONTAL = 2
        const val ORIENTATION_ROTATE_180 = 3
        const val ORIENTATION_FLIP_VERTICAL = 4
        const val ORIENTATION_TRANSPOSE = 5
        const val ORIENTATION_ROTATE_90 = 6
        const val ORIENTATION_TRANSVERSE = 7
        const val ORIENTATION_ROTATE_270 = 8
    }
}
