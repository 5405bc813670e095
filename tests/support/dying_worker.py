"""Stands in for the worker of `SubprocessInterpreter`, and dies as a crash of LiteRT would end it.

What LiteRT does with a damaged file depends on the memory beside it: here it crashes, there it answers in words. This
worker hands each message to the real one, whose path it takes from `REAL_WORKER`, and at message number `DIES_AT` it
kills itself: 1 is the model, 2 the input, 3 the run, 4 the output.
"""

import os
import runpy
import signal
import subprocess
import sys

if __name__ == "__main__":
    worker = os.environ["REAL_WORKER"]
    protocol = runpy.run_path(worker)
    real = subprocess.Popen(
        [sys.executable, "-P", worker, *sys.argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert real.stdin is not None
    assert real.stdout is not None
    number = 0
    while True:
        message = protocol["read_message"](sys.stdin.buffer)
        number += 1
        if number == int(os.environ["DIES_AT"]):
            os.kill(os.getpid(), signal.SIGKILL)
        protocol["write_message"](real.stdin, message)
        protocol["write_message"](sys.stdout.buffer, protocol["read_message"](real.stdout))
