// Stand-in: the camera screen is compiled against it and does not run.
// https://developer.android.com/reference/android/widget/ImageView
package android.widget

import android.content.Context
import android.graphics.Bitmap

open class ImageView(context: Context) : android.view.View(context) {
    private var shown: Bitmap? = null

    open fun setImageBitmap(bm: Bitmap?) {
        shown = bm
    }
}
