// Stand-ins with the signatures that Android publishes:
// https://developer.android.com/reference/android/graphics/Bitmap
// https://developer.android.com/reference/android/graphics/BitmapFactory
// https://developer.android.com/reference/android/graphics/Rect
package android.graphics

import java.io.DataInputStream
import java.io.InputStream

class Bitmap(val width: Int, val height: Int, internal val pixels: IntArray, val config: Config?) {
    enum class Config { RGB_565, ARGB_8888, HARDWARE }

    fun copy(config: Config, isMutable: Boolean): Bitmap? = Bitmap(width, height, pixels, config)

    fun getPixels(pixels: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int) {
        check(config == Config.ARGB_8888) { "a hardware bitmap has no pixels" }
        for (row in 0 until height) {
            for (column in 0 until width) {
                pixels[offset + row * stride + column] = this.pixels[(y + row) * this.width + x + column]
            }
        }
    }

    companion object {
        /** Takes the nearest pixel, and tells of it. */
        @JvmStatic
        fun createScaledBitmap(src: Bitmap, dstWidth: Int, dstHeight: Int, filter: Boolean): Bitmap {
            check(filter)
            println("scaled ${src.width}x${src.height} to ${dstWidth}x$dstHeight")
            val pixels = IntArray(dstWidth * dstHeight) {
                val (row, column) = Pair(it / dstWidth * src.height / dstHeight, it % dstWidth * src.width / dstWidth)
                src.pixels[row * src.width + column]
            }
            return Bitmap(dstWidth, dstHeight, pixels, src.config)
        }

        @JvmStatic
        fun createBitmap(width: Int, height: Int, config: Config) = Bitmap(width, height, IntArray(width * height), config)

        @JvmStatic
        fun createBitmap(colors: IntArray, width: Int, height: Int, config: Config): Bitmap {
            require(colors.size >= width * height)
            return Bitmap(width, height, colors.clone(), config)
        }
    }
}

/** Of pictures as ExifInterface.kt describes them. */
object BitmapFactory {
    class Options {
        @JvmField var inJustDecodeBounds = false
        @JvmField var inSampleSize = 0
        @JvmField var outWidth = 0
        @JvmField var outHeight = 0
    }

    @JvmStatic
    fun decodeStream(inputStream: InputStream?, outPadding: Rect?, opts: Options?): Bitmap? {
        check(outPadding == null)
        val data = DataInputStream(inputStream!!)
        data.readInt()
        val (width, height) = Pair(data.readInt(), data.readInt())
        val options = opts ?: Options()
        options.outWidth = width
        options.outHeight = height
        if (options.inJustDecodeBounds || width < 1) return null
        val pixels = IntArray(width * height) { data.readInt() }
        val step = maxOf(1, options.inSampleSize)
        println("decoded ${width}x$height by $step")
        val (columns, rows) = Pair(width / step, height / step)
        val taken = IntArray(columns * rows) { pixels[it / columns * step * width + it % columns * step] }
        return Bitmap(columns, rows, taken, Bitmap.Config.ARGB_8888)
    }
}

class Rect
