// https://developer.android.com/reference/android/os/Bundle
package android.os

class Bundle
