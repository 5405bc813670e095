// Stand-ins for what LiteRT needs for an NPU, with the signatures of its Kotlin library:
// https://github.com/google-ai-edge/LiteRT/blob/main/litert/kotlin/src/main/kotlin/com/google/ai/edge/litert/AcceleratorProvider.kt (NpuAcceleratorProvider, BuiltinNpuAcceleratorProvider)
// https://github.com/google-ai-edge/LiteRT/blob/main/litert/kotlin/src/main/kotlin/com/google/ai/edge/litert/Environment.kt
package com.google.ai.edge.litert

import android.content.Context

interface NpuAcceleratorProvider {
    fun isDeviceSupported(): Boolean

    fun isLibraryReady(): Boolean
}

class BuiltinNpuAcceleratorProvider(private val context: Context) : NpuAcceleratorProvider {
    override fun isDeviceSupported() = true

    override fun isLibraryReady() = true
}

class Environment private constructor(internal val provider: NpuAcceleratorProvider) : JniHandle("the environment") {
    companion object {
        @JvmStatic
        fun create(npuAcceleratorProvider: NpuAcceleratorProvider) = Environment(npuAcceleratorProvider)
    }
}
