"""The command `swiftformer-tf`: one file per subcommand, each of which makes one call to the library for the work.

Before it, `export` and `benchmark` ask `recipes` what can be known without Keras; `demo --serve` then calls `serve`.
"""

import atexit
import gc
import importlib
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import click

from swiftformer_tf.cli.options import in_options
from swiftformer_tf.errors import SwiftFormerError
from swiftformer_tf.native_logs import native_stderr_silenced

__all__ = ["cli", "main"]


class Misuse(click.ClickException):
    """An error that the user can fix: printed as one line, with exit status 2."""

    exit_code = 2


# The status that shells report for a command ended by SIGINT; click's own 1 would mean a failed check.
INTERRUPTED = 130


class Commands(Mapping[str, click.Command]):
    """The subcommands by name. Each is imported when it is asked for: `--version` needs none, and the help all of them.

    Args:
        names: Each is also that of a file of this folder and of the function in it, with underscores.

    Examples:
        >>> Commands("info", "debug-quantization")["debug-quantization"].name
        'debug-quantization'
    """

    def __init__(self, *names: str) -> None:
        self._functions = {name: name.replace("-", "_") for name in names}

    def __getitem__(self, name: str) -> click.Command:
        function = self._functions[name]
        command: click.Command = getattr(importlib.import_module(f"{__name__}.{function}"), function)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)


SUBCOMMANDS = Commands(
    *("info", "port", "export", "verify", "predict", "train", "evaluate"),
    *("benchmark", "debug-quantization", "serve", "demo"),
)


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        arguments = list(ctx.args)  # which invoking consumes
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            click.echo("\nAborted!", err=True)  # the terminal has written ^C without an end of line
            ctx.exit(INTERRUPTED)
        except SwiftFormerError as error:
            command = self.commands[str(ctx.invoked_subcommand)]
            raise Misuse(in_options(str(error), command, arguments, others=self.commands.values())) from error
        except BrokenPipeError:
            raise  # the reader of our output has seen enough: click ends quietly
        except OSError as error:
            raise Misuse(f"{error.filename or 'input or output'}: {error.strerror or error}") from error


@click.group(
    cls=_Group,
    commands=SUBCOMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="swiftformer_tf")
def cli() -> None:
    """SwiftFormer for Keras: PyTorch weights in, verified Android models out.

    \b
    swiftformer-tf export xs.pth -o models --recipe mixed_int8 \\
        --calibration photos
    swiftformer-tf verify models/xs_mixed_int8.tflite --reference xs.pth \\
        --images others

    Exit status: 0 done, 1 a check failed, 2 invalid arguments or input, 130 interrupted.
    """


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line, for `convert/port.py`, `tflite/quantize.py` and the installed script."""
    # Third-party warnings are meant for developers and do not help someone who runs a command.
    warnings.simplefilter("ignore")
    # At its end, Python would look for garbage among all objects of Keras and TensorFlow, for most of a second.
    atexit.register(gc.freeze)
    with native_stderr_silenced():
        cli(args=arguments, prog_name="swiftformer-tf")
