"""The package's exceptions. Each names the thing, what was expected, and the cure."""

__all__ = [
    "CheckpointError",
    "ConfigError",
    "ExportError",
    "ImageError",
    "ModelError",
    "SwiftFormerError",
    "VerificationError",
]


class SwiftFormerError(Exception):
    """Root of everything this package raises on purpose; the command line prints it as one line."""


class ConfigError(SwiftFormerError, ValueError):
    """A configuration value is impossible; the message names the field."""


class CheckpointError(SwiftFormerError):
    """A weight file cannot be read, is not a SwiftFormer, or does not fit the model."""


class ModelError(SwiftFormerError):
    """A saved Keras or TFLite model cannot be used for what was asked."""


class ImageError(SwiftFormerError):
    """A photograph or a folder of photographs cannot be used."""


class ExportError(SwiftFormerError):
    """A conversion to TFLite was refused or did not produce what its recipe promises."""


class VerificationError(SwiftFormerError):
    """A verified model failed a check; raised by `Report.raise_for_failure`."""
