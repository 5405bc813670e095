// https://developer.android.com/reference/android/view/View
package android.view

import android.content.Context

open class View(context: Context)
