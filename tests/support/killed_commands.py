"""Runs commands that SIGKILL ends while they write. A JSON document a line in, the status of the process a line out.

Each command is a fork of this process, which has imported everything and computed nothing: so each takes a moment.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from swiftformer_tf.cli import main
from swiftformer_tf.files import WAITING


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


if __name__ == "__main__":
    import tensorflow  # noqa: F401

    import swiftformer_tf.litert.benchmarking
    import swiftformer_tf.pipeline
    import swiftformer_tf.report
    import swiftformer_tf.training  # noqa: F401

    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            kill_at(job["moves"], job["folder"])
            try:
                main(job["arguments"])
            finally:
                os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
