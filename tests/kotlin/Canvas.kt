// Stand-ins with the signatures that Android publishes:
// https://developer.android.com/reference/android/graphics/Canvas
// https://developer.android.com/reference/android/graphics/Color
// https://developer.android.com/reference/android/graphics/Matrix
package android.graphics

import kotlin.math.cos
import kotlin.math.floor
import kotlin.math.roundToInt
import kotlin.math.sin

class Canvas(private val bitmap: Bitmap) {
    fun drawColor(color: Int) = bitmap.pixels.fill(color)

    /** Takes the nearest pixel, or what the filter makes of the four around, and lays it over what is there. */
    fun drawBitmap(bitmap: Bitmap, matrix: Matrix, paint: Paint?) {
        check(bitmap.config == Bitmap.Config.ARGB_8888) { "software rendering doesn't support hardware bitmaps" }
        val (target, filter) = Pair(this.bitmap, paint!!.isFilterBitmap)
        for (index in target.pixels.indices) {
            val (x, y) = matrix.inverse(index % target.width + 0.5, index / target.width + 0.5)
            val (column, row) = Pair(floor(x).toInt(), floor(y).toInt())
            if (column !in 0 until bitmap.width || row !in 0 until bitmap.height) continue
            val drawn = if (filter) filtered(bitmap, x - 0.5, y - 0.5) else bitmap.pixels[row * bitmap.width + column]
            target.pixels[index] = over(drawn, target.pixels[index])
        }
        println("drawn ${bitmap.width}x${bitmap.height}")
    }

    /** Bilinear, between the centers of pixels. */
    private fun filtered(bitmap: Bitmap, x: Double, y: Double): Int {
        val (left, top) = Pair(floor(x), floor(y))
        fun pixel(across: Int, down: Int): Int {
            val column = (left.toInt() + across).coerceIn(0, bitmap.width - 1)
            return bitmap.pixels[(top.toInt() + down).coerceIn(0, bitmap.height - 1) * bitmap.width + column]
        }
        return listOf(24, 16, 8, 0).fold(0) { color, shift ->
            fun row(down: Int) = between(pixel(0, down) ushr shift and 0xFF, pixel(1, down) ushr shift and 0xFF, x - left)
            color or (between(row(0), row(1), y - top).roundToInt() shl shift)
        }
    }

    private fun between(first: Number, second: Number, weight: Double) =
        first.toDouble() + (second.toDouble() - first.toDouble()) * weight

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
