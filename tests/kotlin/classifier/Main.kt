// An app: MODEL ACCELERATOR TASK, with assets, a picture as ExifInterface.kt describes it and what LiteRT's stand-in
// answers in the working directory.
package swiftformer

import android.content.Context
import android.content.res.AssetManager
import android.net.Uri
import app.frame
import com.google.ai.edge.litert.Accelerator
import java.io.File
import java.util.concurrent.atomic.AtomicInteger
import kotlin.concurrent.thread

fun show(labels: List<Tiny.Label>) = labels.forEach { println("${it.index} ${it.score} ${it.text}") }

fun main(arguments: Array<String>) {
    val context = Context(AssetManager(File("assets")))
    val (model, accelerator, task) = arguments
    Tiny(context, Tiny.Model.valueOf(model), Accelerator.valueOf(accelerator), 2).use { classifier ->
        classifier.fallback?.let { println("fallback: ${it.message}") }
        when (task) {
            "gallery" -> show(classifier.classify(context.contentResolver, Uri.parse("picture"), 3))
            "crowd" -> {
                val answered = AtomicInteger()
                val crowd = List(8) { thread { repeat(5) { if (classifier.classify(frame()).size == 5) answered.incrementAndGet() } } }
                crowd.forEach { it.join() }
                println("$answered answered")
            }
            "arrays" -> {
                val field = Tiny::class.java.getDeclaredField("answers").apply { isAccessible = true }
                repeat(5) {
                    classifier.classify(frame())
                    val answers = field.get(classifier) as FloatArray
                    println("${answers.size} answers in array ${System.identityHashCode(answers)}")
                }
            }
            "late" -> {
                classifier.close()
                classifier.classify(frame())
            }
            else -> show(classifier.classify(frame(), task.toInt(), 3))
        }
    }
}
