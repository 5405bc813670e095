// Stand-in: the camera screen is compiled against it and does not run.
// https://developer.android.com/reference/android/widget/TextView
package android.widget

import android.content.Context

open class TextView(context: Context) : android.view.View(context) {
    var text: CharSequence = ""
}
