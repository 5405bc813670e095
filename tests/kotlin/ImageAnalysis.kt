// Stand-ins: the camera screen is compiled against them and does not run.
// https://developer.android.com/reference/androidx/camera/core/Camera
// https://developer.android.com/reference/androidx/camera/core/CameraSelector
// https://developer.android.com/reference/androidx/camera/core/ImageAnalysis
// https://developer.android.com/reference/androidx/camera/core/ImageInfo
// https://developer.android.com/reference/androidx/camera/core/ImageProxy
// https://developer.android.com/reference/androidx/camera/core/UseCase
package androidx.camera.core

import android.graphics.Bitmap
import java.util.concurrent.Executor

interface ImageInfo {
    val rotationDegrees: Int
}

interface ImageProxy : AutoCloseable {
    val imageInfo: ImageInfo

    fun toBitmap(): Bitmap
}

abstract class UseCase

interface Camera

class CameraSelector private constructor() {
    companion object {
        @JvmField val DEFAULT_BACK_CAMERA = CameraSelector()
    }
}

class ImageAnalysis private constructor() : UseCase() {
    fun interface Analyzer {
        fun analyze(image: ImageProxy)
    }

    class Builder {
        fun build() = ImageAnalysis()
    }

    fun setAnalyzer(executor: Executor, analyzer: Analyzer) = check(executor != analyzer)
}
