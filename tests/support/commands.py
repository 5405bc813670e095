"""The command line as a test runs it."""

from pathlib import Path

from click.testing import CliRunner, Result

from swiftformer_tf.cli import cli


def run(*arguments: object) -> Result:
    """`swiftformer-tf` with these arguments."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def files(folder: Path) -> list[str]:
    """What a command left in a folder, by name; nothing where there is none."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []
