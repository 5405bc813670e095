"""One message for whatever a damaged flatbuffer makes its readers raise."""

import contextlib
from collections.abc import Iterator

from swiftformer_tf.errors import ModelError, one_line

__all__ = ["damage_told"]


@contextlib.contextmanager
def damage_told() -> Iterator[None]:
    """Reports every error of the block, other than a `ModelError`, as damage of the flatbuffer that it reads.

    Raises:
        ModelError: The block failed.

    Examples:
        >>> with damage_told():
        ...     b""[0]
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ModelError: the flatbuffer is damaged (IndexError: index out of range)
    """
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # the generated reader raises whatever the damage leads to
        raise ModelError(f"the flatbuffer is damaged ({type(error).__name__}: {one_line(error)})") from None
