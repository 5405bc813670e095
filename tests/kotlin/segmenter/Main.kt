// An app: MODEL ACCELERATOR TASK, with assets, a picture as ExifInterface.kt describes it and what LiteRT's stand-in
// answers in the working directory. It leaves `mask`, `colors` and `overlay` there: width, height and numbers, as
// big-endian ints.
package swiftformer

import android.content.Context
import android.content.res.AssetManager
import android.graphics.Bitmap
import android.net.Uri
import app.frame
import com.google.ai.edge.litert.Accelerator
import java.io.DataOutputStream
import java.io.File

fun write(name: String, width: Int, height: Int, numbers: IntArray) =
    DataOutputStream(File(name).outputStream().buffered()).use { file ->
        file.writeInt(width)
        file.writeInt(height)
        numbers.forEach { file.writeInt(it) }
    }

fun write(name: String, bitmap: Bitmap) {
    val pixels = IntArray(bitmap.width * bitmap.height)
    bitmap.getPixels(pixels, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
    write(name, bitmap.width, bitmap.height, pixels)
}

fun main(arguments: Array<String>) {
    val context = Context(AssetManager(File("assets")))
    val (model, accelerator, task) = arguments
    Streets(context, Streets.Model.valueOf(model), Accelerator.valueOf(accelerator), 2).use { segmenter ->
        segmenter.fallback?.let { println("fallback: ${it.message}") }
        if (task == "late") segmenter.close()
        val (resolver, uri) = Pair(context.contentResolver, Uri.parse("picture"))
        val degrees = task.toIntOrNull() ?: 0
        val mask = if (task == "gallery") segmenter.segment(resolver, uri) else segmenter.segment(frame(), degrees)
        mask.legend().forEach { println("${it.index} ${it.share} ${it.color} ${it.text}") }
        println("at 1, 2: ${mask[1, 2]}")
        write("mask", mask.width, mask.height, mask.classes)
        write("colors", mask.toBitmap())
        write("overlay", if (task == "gallery") segmenter.overlay(resolver, uri, mask) else segmenter.overlay(frame(), mask, degrees))
    }
}
