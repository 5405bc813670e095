"""Commands that SIGKILL ends while they write."""

import os
import signal
from collections.abc import Callable
from typing import Any

from swiftformer_tf.cli import main
from swiftformer_tf.files import WAITING

__all__ = ["MODULES", "kill_at", "killed"]

#: What the commands import, for `Forks`.
MODULES = (
    "tensorflow",
    "swiftformer_tf.litert.benchmarking",
    "swiftformer_tf.pipeline",
    "swiftformer_tf.report",
    "swiftformer_tf.training.from_folders",
    "swiftformer_tf.training.plots",
    "matplotlib.backends.backend_agg",
    "support.training_runs",
)


def kill_at(moves: int, folder: str) -> None:
    """Ends this process just before the file of that number, from 1, would have moved to its place in `folder`."""
    count = 0

    def watched(move: Callable[..., None]) -> Callable[..., None]:
        def counting(source: Any, target: Any) -> None:
            nonlocal count
            count += os.fspath(target).startswith(folder) and WAITING not in os.fspath(target)
            if count == moves:
                os.kill(os.getpid(), signal.SIGKILL)
            move(source, target)

        return counting

    os.replace, os.rename = watched(os.replace), watched(os.rename)


def killed(moves: int, folder: str, arguments: list[str]) -> None:
    """A command line, ended as `kill_at` does."""
    kill_at(moves, folder)
    main(arguments)
