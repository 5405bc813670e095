"""What a command left in a folder."""

from pathlib import Path

from swiftformer_tf.files import WAITING

# For a file beyond the limit of the fixture `full_disk`.
CURE = (
    "cannot be written (File too large); free some space on its disk, or write to another one; what was "
    "there is untouched"
)


def files_in(folder: Path) -> dict[str, bytes]:
    """Everything below a folder, hidden or not."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def without_waiting(files: dict[str, bytes]) -> dict[str, bytes]:
    """Without what waited to be moved to its place."""
    return {name: content for name, content in files.items() if WAITING not in name}


# The oldest language that the compiler takes without a word, and what the page promises.
KOTLIN = "2.2"


def kotlin(folder: Path) -> str:
    """The only Kotlin class of an Android folder."""
    (path,) = folder.rglob("*.kt")
    return path.read_text()
