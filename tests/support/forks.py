"""Processes of their own that start in a moment: forks of one that has imported everything and computed nothing.

For tests that need another process, but no fresh interpreter. On other systems than Linux each is a fresh one: forks of
a process with threads are not safe there, or there are none.
"""

import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

__all__ = ["Forks"]

# Seconds after which a process hangs: long, since the machine may be busy.
PATIENCE = 3600.0

COMMAND = [sys.executable, "-m", "support.forks"]


class Forks:
    """Starts functions in processes.

    Args:
        modules: Imported before the first fork. None of them may start TensorFlow's or JAX's threads.
        environment: Variables of all processes, such as `ENVIRONMENT`.
    """

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._server: subprocess.Popen[str] | None = None
        if sys.platform == "linux":
            self._server = subprocess.Popen(
                [*COMMAND, *modules],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=self._environment,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server:
            self._server.communicate()

    def start(
        self, function: str, *arguments: Any, said: Path, environment: Mapping[str, str] | None = None
    ) -> Callable[[], int]:
        """Starts a process; returns what waits for its end and returns its status, as `Popen.wait` does.

        Args:
            function: `"module:name"`.
            arguments: Of JSON's types.
            said: Standard output goes to `said`.out, and standard error to `said`.err.
            environment: More variables.
        """
        job = {"function": function, "arguments": arguments, "said": str(said), "environment": {**(environment or {})}}
        if not self._server:
            return subprocess.Popen([*COMMAND, "--job", json.dumps(job)], env=self._environment).wait
        number = self._asked(job)
        return lambda: self._asked(number)

    def _asked(self, question: Any) -> int:
        assert self._server is not None
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps(question), file=self._server.stdin, flush=True)
        if not select.select([self._server.stdout], [], [], PATIENCE)[0]:
            os.killpg(self._server.pid, signal.SIGKILL)
            raise TimeoutError(f"no end of {question} in {PATIENCE} s")
        return int(self._server.stdout.readline())


def run(job: dict[str, Any]) -> None:
    os.environ.update(job["environment"])
    for descriptor, suffix in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{job['said']}.{suffix}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    module, name = job["function"].split(":")
    getattr(importlib.import_module(module), name)(*job["arguments"])


def serve() -> None:
    """A job a line in, its process's number a line out; or that number in, and the process's status out."""
    for line in sys.stdin:
        question = json.loads(line)
        if isinstance(question, int):
            answer = os.waitstatus_to_exitcode(os.waitpid(question, 0)[1])
        elif not (answer := os.fork()):
            run(question)
            break  # and ends as any other program does
        print(answer, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        run(json.loads(sys.argv[2]))
    else:
        for module in sys.argv[1:]:
            importlib.import_module(module)
        gc.freeze()  # or each fork would go through what stays, and copy it, when it ends
        serve()
