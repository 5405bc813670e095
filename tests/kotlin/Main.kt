// An app: MODEL ACCELERATOR WIDTH HEIGHT, with the assets and the picture's pixels in the working directory.
import android.content.Context
import android.content.res.AssetManager
import android.graphics.Bitmap
import com.google.ai.edge.litert.Accelerator
import java.io.File
import java.nio.ByteBuffer
import swiftformer.SwiftFormerClassifier
import swiftformer.SwiftFormerModel

fun main(arguments: Array<String>) {
    val (width, height) = arguments.drop(2).map { it.toInt() }
    val words = ByteBuffer.wrap(File("pixels").readBytes()).asIntBuffer()
    val bitmap = Bitmap(width, height, IntArray(width * height) { words.get(it) }, Bitmap.Config.HARDWARE)
    val context = Context(AssetManager(File("assets")))
    val model = SwiftFormerModel.valueOf(arguments[0])
    SwiftFormerClassifier(context, model, Accelerator.valueOf(arguments[1])).use { classifier ->
        classifier.classify(bitmap, 3).forEach { println("${it.index} ${it.score} ${it.text}") }
    }
}
