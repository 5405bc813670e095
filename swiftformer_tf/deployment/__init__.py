"""Makes exported files usable in apps: targets, Android folders, and a page for the browser."""

__all__: list[str] = []
