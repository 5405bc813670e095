// Stand-ins with the signatures that Android publishes:
// https://developer.android.com/reference/android/graphics/Canvas
// https://developer.android.com/reference/android/graphics/Color
// https://developer.android.com/reference/android/graphics/Matrix
// https://developer.android.com/reference/android/graphics/Paint
package android.graphics

import kotlin.math.cos
import kotlin.math.floor
import kotlin.math.sin

class Canvas(private val bitmap: Bitmap) {
    fun drawColor(color: Int) = bitmap.pixels.fill(color)

    /** Takes the nearest pixel, and lays it over what is there. */
    fun drawBitmap(bitmap: Bitmap, matrix: Matrix, paint: Paint?) {
        check(bitmap.config == Bitmap.Config.ARGB_8888) { "software rendering doesn't support hardware bitmaps" }
        check(paint!!.flags == 0 || paint.flags == Paint.FILTER_BITMAP_FLAG)
        val target = this.bitmap
        for (index in target.pixels.indices) {
            val (x, y) = matrix.inverse(index % target.width + 0.5, index / target.width + 0.5)
            val (column, row) = Pair(floor(x).toInt(), floor(y).toInt())
            if (column !in 0 until bitmap.width || row !in 0 until bitmap.height) continue
            target.pixels[index] = over(bitmap.pixels[row * bitmap.width + column], target.pixels[index])
        }
        println("drawn ${bitmap.width}x${bitmap.height}")
    }

    private fun over(top: Int, below: Int): Int {
        val alpha = top ushr 24
        val channels = listOf(16, 8, 0).map {
            ((top shr it and 0xFF) * alpha + (below shr it and 0xFF) * (255 - alpha)) / 255 shl it
        }
        return (0xFF shl 24) or channels[0] or channels[1] or channels[2]
    }
}

object Color {
    const val WHITE = -1
}

class Paint(val flags: Int) {
    companion object {
        const val FILTER_BITMAP_FLAG = 2
    }
}

class Matrix {
    // x' = a x + b y + c, y' = d x + e y + f
    private var a = 1.0
    private var b = 0.0
    private var c = 0.0
    private var d = 0.0
    private var e = 1.0
    private var f = 0.0

    fun postTranslate(dx: Float, dy: Float): Boolean {
        c += dx
        f += dy
        return true
    }

    fun postScale(sx: Float, sy: Float): Boolean = post(sx.toDouble(), 0.0, 0.0, sy.toDouble())

    /** Clockwise, since y points down. */
    fun postRotate(degrees: Float): Boolean {
        val angle = Math.toRadians(degrees.toDouble())
        return post(cos(angle), -sin(angle), sin(angle), cos(angle))
    }

    private fun post(p: Double, q: Double, r: Double, s: Double): Boolean {
        val (x, y, z) = Triple(p * a + q * d, p * b + q * e, p * c + q * f)
        val (u, v, w) = Triple(r * a + s * d, r * b + s * e, r * c + s * f)
        a = x; b = y; c = z
        d = u; e = v; f = w
        return true
    }

    internal fun inverse(x: Double, y: Double): Pair<Double, Double> {
        val determinant = a * e - b * d
        return Pair((e * (x - c) - b * (y - f)) / determinant, (a * (y - f) - d * (x - c)) / determinant)
    }
}
