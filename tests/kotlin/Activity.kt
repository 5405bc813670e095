// Stand-in: the camera screen is compiled against it and does not run.
// https://developer.android.com/reference/androidx/activity/ComponentActivity
package androidx.activity

import android.content.Context
import android.content.res.AssetManager
import android.os.Bundle
import android.view.View
import androidx.lifecycle.LifecycleOwner
import java.io.File

open class ComponentActivity : Context(AssetManager(File("assets"))), LifecycleOwner {
    protected open fun onCreate(savedInstanceState: Bundle?) {}

    protected open fun onDestroy() {}

    fun setContentView(view: View?) = check(view != null)

    fun runOnUiThread(action: Runnable) = action.run()
}
