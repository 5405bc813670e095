// Stand-in with the constructors and flags of the source that Android publishes:
// https://android.googlesource.com/platform/frameworks/base/+/refs/tags/android-15.0.0_r1/graphics/java/android/graphics/Paint.java
package android.graphics

class Paint(flags: Int) {
    /** Always set at first: FILTER_BITMAP_FLAG is one of the hidden defaults from Android 10 on. */
    var flags = flags or HIDDEN_DEFAULT_PAINT_FLAGS

    constructor() : this(ANTI_ALIAS_FLAG)

    var isFilterBitmap: Boolean
        get() = flags and FILTER_BITMAP_FLAG != 0
        set(filter) {
            flags = if (filter) flags or FILTER_BITMAP_FLAG else flags and FILTER_BITMAP_FLAG.inv()
        }

    companion object {
        const val ANTI_ALIAS_FLAG = 1
        const val FILTER_BITMAP_FLAG = 2
        const val DEV_KERN_TEXT_FLAG = 0x100
        const val EMBEDDED_BITMAP_TEXT_FLAG = 0x400
        private const val HIDDEN_DEFAULT_PAINT_FLAGS = DEV_KERN_TEXT_FLAG or EMBEDDED_BITMAP_TEXT_FLAG or FILTER_BITMAP_FLAG
    }
}
