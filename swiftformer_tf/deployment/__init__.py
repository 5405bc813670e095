"""What turns an exported file into something that an app can use: metadata, targets, the Android folder."""

__all__: list[str] = []
