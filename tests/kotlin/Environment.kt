// Stand-ins for LiteRT's environment and what it needs for an NPU, with the signatures of its Kotlin library:
// https://github.com/google-ai-edge/LiteRT/blob/dc12777df3214343e9fe11be1f71de8bfd9c608e/litert/kotlin/src/main/kotlin/com/google/ai/edge/litert/AcceleratorProvider.kt (NpuAcceleratorProvider, BuiltinNpuAcceleratorProvider)
// https://github.com/google-ai-edge/LiteRT/blob/23dd4f7d240f24b8015c27e207305e2188e44fa7/litert/kotlin/src/main/kotlin/com/google/ai/edge/litert/Environment.kt
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

class Environment private constructor(internal val provider: NpuAcceleratorProvider?) : JniHandle("the environment") {
    enum class Option(val value: Int) {
        CompilerPluginLibraryDir(0),
        DispatchLibraryDir(1),
    }

    companion object {
        @JvmOverloads
        @JvmStatic
        fun create(options: Map<Option, String> = mapOf()) = Environment(null)

        @JvmOverloads
        @JvmStatic
        fun create(npuAcceleratorProvider: NpuAcceleratorProvider, options: Map<Option, String> = mapOf()) =
            Environment(npuAcceleratorProvider)
    }
}
