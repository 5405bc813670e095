package android.graphics

class Bitmap(val width: Int, val height: Int, private val pixels: IntArray, val config: Config?) {
    enum class Config { ARGB_8888, HARDWARE }

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
        fun createBitmap(source: Bitmap, x: Int, y: Int, width: Int, height: Int): Bitmap {
            println("cut ${width}x$height at $x,$y")
            val pixels = IntArray(width * height) { source.pixels[(y + it / width) * source.width + x + it % width] }
            return Bitmap(width, height, pixels, source.config)
        }
    }
}
