// Stand-ins for LiteRT's classes of these names, with the signatures of its Kotlin library:
// https://github.com/google-ai-edge/LiteRT/blob/4312fd6509bbe120ac21b3f7b650c42aea657415/litert/kotlin/src/main/kotlin/com/google/ai/edge/litert/Common.kt (Accelerator, JniHandle)
// https://github.com/google-ai-edge/LiteRT/blob/abdffe63ea14d45668c1a1d8ababe6b734bfd308/litert/kotlin/src/main/kotlin/com/google/ai/edge/litert/LiteRtException.kt (LiteRtException, Status)
// https://github.com/google-ai-edge/LiteRT/blob/dc870addeb83844be1916fcb36f1c1bc17b77364/litert/kotlin/src/main/kotlin/com/google/ai/edge/litert/Model.kt (CompiledModel)
// https://github.com/google-ai-edge/LiteRT/blob/53d158179d0f22c67041cf67aad672e2e41acc8d/litert/kotlin/src/main/kotlin/com/google/ai/edge/litert/TensorBuffer.kt
// Each as of the commit in its address; which commit LiteRT 2.3.0 was made of is not known here.
// Files of the working directory say what they answer, and what they refuse.
package com.google.ai.edge.litert

import android.content.res.AssetManager
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.concurrent.atomic.AtomicBoolean
import java.util.concurrent.atomic.AtomicInteger

enum class Accelerator { NONE, CPU, GPU, NPU }

class LiteRtException(private val status: Status, message: String) : Exception(message) {
    constructor(code: Int, message: String) : this(Status.fromCode(code), message)
}

/** Only the codes that are thrown here. */
enum class Status(val code: Int) {
    ErrorMemoryAllocationFailure(2),
    ErrorUnsupported(5);

    companion object {
        fun fromCode(code: Int): Status =
            requireNotNull(values().firstOrNull { it.code == code }) { "Unknown status code: $code" }
    }
}

abstract class JniHandle internal constructor(private val name: String) : AutoCloseable {
    private val destroyed = AtomicBoolean(false)

    protected fun assertNotDestroyed() = check(!destroyed.get()) { "The handle has been destroyed." }

    protected open fun destroy() = println("closed $name")

    final override fun close() {
        if (destroyed.compareAndSet(false, true)) destroy()
    }
}

class TensorBuffer internal constructor(name: String) : JniHandle(name) {
    internal var content = ByteArray(0)

    fun writeFloat(data: FloatArray) {
        assertNotDestroyed()
        println("wrote array ${System.identityHashCode(data)}")
        val buffer = ByteBuffer.allocate(4 * data.size).order(ByteOrder.LITTLE_ENDIAN)
        data.forEach { buffer.putFloat(it) }
        content = buffer.array()
    }

    fun writeInt8(data: ByteArray) {
        assertNotDestroyed()
        println("wrote array ${System.identityHashCode(data)}")
        content = data.clone()
    }

    fun readFloat(): FloatArray {
        assertNotDestroyed()
        val buffer = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return FloatArray(buffer.remaining()) { buffer.get() }
    }

    fun readInt8(): ByteArray {
        assertNotDestroyed()
        return content
    }
}

class CompiledModel private constructor(
    private val assetName: String,
    private val env: Environment,
    private val envManaged: Boolean,
) : JniHandle("the model") {
    data class CpuOptions(
        val numThreads: Int? = null,
        val xnnPackFlags: Int? = null,
        val xnnPackWeightCachePath: String? = null,
    )

    class Options(internal val accelerators: Set<Accelerator>) {
        constructor(vararg accelerators: Accelerator) : this(setOf(*accelerators))

        var cpuOptions: CpuOptions? = null

        companion object {
            @JvmStatic val CPU = Options(Accelerator.CPU)
        }
    }

    @JvmOverloads
    fun createInputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = listOf(TensorBuffer("an input"))

    @JvmOverloads
    fun createOutputBuffers(signatureIndex: Int = 0): List<TensorBuffer> {
        if (File("no output buffers").exists()) throw LiteRtException(Status.ErrorMemoryAllocationFailure, "no memory")
        return listOf(TensorBuffer("an output"))
    }

    /** Keeps what was written, and answers with what lies ready; two at once are one too many. */
    @JvmOverloads
    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>, signatureIndex: Int = 0) {
        assertNotDestroyed()
        check(running.incrementAndGet() == 1) { "two runs at once" }
        File("$assetName.input").writeBytes(inputs[0].content)
        Thread.sleep(5)
        outputs[0].content = File("$assetName.output").readBytes()
        running.decrementAndGet()
    }

    override fun destroy() {
        super.destroy()
        if (envManaged) env.close()
    }

    companion object {
        private val running = AtomicInteger()

        @JvmOverloads
        @JvmStatic
        fun create(
            assetManager: AssetManager,
            assetName: String,
            options: Options = Options.CPU,
            optionalEnv: Environment? = null,
        ): CompiledModel {
            // As in LiteRT: nobody closes an environment of its own where it then refuses the model; the CPU silently
            // joins a lone NPU; and there is no NPU without the libraries for it.
            val env = optionalEnv ?: Environment.create()
            val alone = options.accelerators == setOf(Accelerator.NPU)
            val accelerators = if (alone) setOf(Accelerator.NPU, Accelerator.CPU) else options.accelerators
            val missing = if (env.provider == null) Accelerator.NPU else Accelerator.NONE
            val accelerator = accelerators.firstOrNull { it != missing && !File("no $it").exists() }
                ?: throw LiteRtException(Status.ErrorUnsupported, "no ${accelerators.joinToString()} here")
            println("created $assetName on $accelerator with ${options.cpuOptions?.numThreads} threads")
            return CompiledModel(assetName, env, envManaged = optionalEnv == null)
        }
    }
}
