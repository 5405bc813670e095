// Stand-in for Android's classes of these names: the members that the generated class uses.
package android.content

import android.content.res.AssetManager

class Context(val assets: AssetManager)
