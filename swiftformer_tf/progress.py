"""The interface through which long computations report progress."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

__all__ = ["Progress", "silent"]

# Opens a display for a step with this title and this total, None where nobody knows it, and yields what is called with
# the count so far.
Progress = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]


@contextmanager
def silent(title: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A progress display that shows nothing.

    Args:
        title: Title of the step.
        total: Total number of items in the step.

    Examples:
        >>> with silent("verify", 3) as count:
        ...     count(1)
    """
    yield lambda _: None
