// Stand-in for LiteRT 2's classes of these names, with the signatures of its Kotlin library.
package com.google.ai.edge.litert

import android.content.res.AssetManager
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

enum class Accelerator { NONE, CPU, GPU, NPU }

class Environment private constructor() : AutoCloseable {
    override fun close() {}
}

class TensorBuffer internal constructor(internal var content: ByteArray) : AutoCloseable {
    fun writeFloat(data: FloatArray) {
        val buffer = ByteBuffer.allocate(4 * data.size).order(ByteOrder.LITTLE_ENDIAN)
        data.forEach { buffer.putFloat(it) }
        content = buffer.array()
    }

    fun writeInt8(data: ByteArray) {
        content = data
    }

    fun readFloat(): FloatArray {
        val buffer = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return FloatArray(buffer.remaining()) { buffer.get() }
    }

    fun readInt8(): ByteArray = content

    override fun close() = println("closed a buffer")
}

class CompiledModel private constructor(private val assetName: String) : AutoCloseable {
    class Options(internal val accelerators: Set<Accelerator>) {
        constructor(vararg accelerators: Accelerator) : this(setOf(*accelerators))

        companion object {
            @JvmStatic val CPU = Options(Accelerator.CPU)
        }
    }

    @JvmOverloads fun createInputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = listOf(TensorBuffer(ByteArray(0)))

    @JvmOverloads fun createOutputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = listOf(TensorBuffer(ByteArray(0)))

    /** Keeps what was written, and answers with what lies ready. */
    @JvmOverloads
    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>, signatureIndex: Int = 0) {
        File("$assetName.input").writeBytes(inputs[0].content)
        outputs[0].content = File("$assetName.output").readBytes()
    }

    override fun close() = println("closed the model")

    companion object {
        @JvmOverloads
        @JvmStatic
        fun create(
            assetManager: AssetManager,
            assetName: String,
            options: Options = Options.CPU,
            optionalEnv: Environment? = null,
        ): CompiledModel {
            println("created $assetName on ${options.accelerators}")
            return CompiledModel(assetName)
        }
    }
}
