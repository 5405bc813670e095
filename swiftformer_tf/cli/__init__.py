"""The command `swiftformer-tf`: one file per subcommand, each of which makes a single call to the library."""

import warnings
from typing import Any

import click

from swiftformer_tf.cli.benchmark import benchmark
from swiftformer_tf.cli.debug_quantization import debug_quantization
from swiftformer_tf.cli.demo import demo
from swiftformer_tf.cli.evaluate import evaluate
from swiftformer_tf.cli.export import export
from swiftformer_tf.cli.info import info
from swiftformer_tf.cli.port import port
from swiftformer_tf.cli.predict import predict
from swiftformer_tf.cli.serve import serve
from swiftformer_tf.cli.train import train
from swiftformer_tf.cli.verify import verify
from swiftformer_tf.errors import SwiftFormerError
from swiftformer_tf.native_logs import native_stderr_silenced

__all__ = ["cli", "main"]


class Misuse(click.ClickException):
    """An error that the user can fix: printed as one line, with exit status 2."""

    exit_code = 2


# What shells say of a command that SIGINT ended; click's own 1 would be a check that failed.
INTERRUPTED = 130


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            click.echo("\nAborted!", err=True)  # the terminal has written ^C without an end of line
            ctx.exit(INTERRUPTED)
        except SwiftFormerError as error:
            raise Misuse(str(error)) from error
        except BrokenPipeError:
            raise  # the reader of our output has seen enough: click ends quietly
        except OSError as error:
            raise Misuse(f"{error.filename or 'input or output'}: {error.strerror or error}") from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="swiftformer_tf")
def cli() -> None:
    """SwiftFormer for Keras: PyTorch weights in, verified Android models out.

    \b
    swiftformer-tf export xs.pth -o models --recipe int8 --calibration photos
    swiftformer-tf verify models/xs_int8.tflite --reference xs.pth --images others

    Exit status: 0 done, 1 a check failed, 2 invalid arguments or input, 130 interrupted.
    """


for command in (info, port, export, verify, predict, train, evaluate, benchmark, debug_quantization, serve, demo):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line, for `convert/port.py`, `tflite/quantize.py` and the installed script."""
    # What third parties warn their developers of does not help who runs a command.
    warnings.simplefilter("ignore")
    with native_stderr_silenced():
        cli(args=arguments, prog_name="swiftformer-tf")
