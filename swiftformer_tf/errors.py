"""The package's exceptions. Each message names the offending item, what was expected, and how to fix it."""

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "CheckpointError",
    "ConfigError",
    "ExportError",
    "ImageError",
    "ModelError",
    "SwiftFormerError",
    "VerificationError",
    "figure_or_dash",
    "first_line",
    "how_to_install",
    "number_of",
    "one_line",
    "prefix_path",
    "require_packages",
]


class SwiftFormerError(Exception):
    """Base class of all errors that this package raises deliberately; the command line prints them as a single line."""


class ConfigError(SwiftFormerError, ValueError):
    """A configuration value is impossible; the message names the field."""


class CheckpointError(SwiftFormerError):
    """A weight file cannot be read, is not a SwiftFormer, or does not fit the model."""


class ModelError(SwiftFormerError):
    """A Keras or TFLite model cannot be used for the requested operation."""


class ImageError(SwiftFormerError):
    """A photograph or a folder of photographs cannot be used."""


class ExportError(SwiftFormerError):
    """A conversion to TFLite was rejected, or its result does not match the recipe."""


class VerificationError(SwiftFormerError):
    """A model did not pass verification; raised by `VerificationReport.raise_for_failure`."""


# The packages of each extra in pyproject.toml that are imported only where they are needed, by import name.
EXTRAS = {
    "report": ("jinja2", "matplotlib"),
    "demo": ("skimage",),
    "train": ("tensorboard",),
    "hub": ("huggingface_hub",),
    "jax": ("jax",),
}


def how_to_install(package: str) -> str:
    """Returns what a message tells a user to run for an optional package.

    There is no release: pip finds the extras in the clone only, wherever the package itself was installed.

    Args:
        package: Its import name, one of `EXTRAS`.

    Examples:
        >>> print(how_to_install("tensorboard"))
        run pip install ".[train]" in your clone of swiftformer_tf
    """
    (extra,) = (name for name, packages in EXTRAS.items() if package in packages)
    return f'run pip install ".[{extra}]" in your clone of swiftformer_tf'


def require_packages(what: str, *packages: str) -> None:
    """Raises an error if an optional package is not installed; to be called before any other work.

    Args:
        what: What needs the packages; the message begins with it.
        packages: Import names of the packages, each of `EXTRAS`.

    Raises:
        SwiftFormerError: A package is missing; the message names it, and what to run.

    Examples:
        >>> require_packages("a plot", "matplotlib")
    """
    for name in packages:
        if importlib.util.find_spec(name) is None:
            raise SwiftFormerError(f"{what} needs {name}: {how_to_install(name)}")


@contextlib.contextmanager
def prefix_path(path: Path | None) -> Iterator[None]:
    """Prefixes the message of a `ModelError` with the path of its file; None leaves it unchanged.

    Examples:
        >>> with prefix_path(Path("x.tflite")):
        ...     raise ModelError("damaged")
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ModelError: x.tflite: damaged
    """
    try:
        yield
    except ModelError as error:
        if path is None or str(error).startswith(f"{path}: "):
            raise
        raise ModelError(f"{path}: {one_line(error)}") from None


def one_line(error: Exception | str, length: int = 1500) -> str:
    """Escapes and shortens a message that quotes a file, so that it is safe to print to a terminal.

    Args:
        error: The error, or its message.
        length: Maximum number of characters.

    Examples:
        >>> one_line(ValueError("no field\\x1b[2J\\n"))
        'no field\\\\x1b[2J\\\\n'
        >>> one_line("label " * 1000, 20)
        'label label label la...'
    """
    text = str(error)
    shown = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text[:length])
    return shown[:length] + "..." if len(text) > length or len(shown) > length else shown


def first_line(error: Exception, length: int = 300) -> str:
    """Returns the first line of another library's message through `one_line`, or the error's type if it is empty.

    A malicious file can make such a message thousands of lines long.

    Examples:
        >>> first_line(ValueError("\\nno such operation\\n  in graph.cc:12")), first_line(KeyError())
        ('no such operation', 'KeyError')
    """
    lines = (line.strip() for line in str(error).splitlines())
    return one_line(next(filter(None, lines), type(error).__name__), length)


def number_of(count: int, noun: str) -> str:
    """Returns a count with its noun, in the singular for one.

    Examples:
        >>> number_of(1, "label"), number_of(0, "image"), number_of(2, "class")
        ('1 label', '0 images', '2 classes')
    """
    ending = "es" if noun.endswith("s") else "s"
    return f"{count:d} {noun}{'' if count == 1 else ending}"


def figure_or_dash(value: float | None, form: str) -> str:
    """Formats a figure for a table, in which a dash stands for one that was not measured.

    Examples:
        >>> figure_or_dash(0.25, ".1%"), figure_or_dash(None, ".1%")
        ('25.0%', '-')
    """
    return "-" if value is None else format(value, form)
