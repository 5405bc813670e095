// https://developer.android.com/reference/androidx/core/content/ContextCompat
package androidx.core.content

import android.content.Context
import java.util.concurrent.Executor

object ContextCompat {
    @JvmStatic
    fun getMainExecutor(context: Context): Executor = Executor { it.run() }
}
