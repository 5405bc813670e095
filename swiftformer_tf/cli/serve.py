"""`swiftformer-tf serve`"""

from collections.abc import Sequence
from pathlib import Path

import click

from swiftformer_tf.cli.console import note

litert_js_option = click.option(
    "--litert-js",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    show_default=True,
    help="Folder in which npm installed LiteRT.js.",
)


def serve_page(models: Sequence[Path], *, litert_js: Path, port: int = 0, browse: bool = True) -> None:
    """Serves until it is interrupted."""
    from swiftformer_tf.deployment import serving

    def started(url: str) -> None:
        note(f"Serving {url} to this machine only. Press Ctrl-C to stop.")
        if browse:
            click.launch(url)

    serving.serve(models, litert_js=litert_js, port=port, started=started)
    note("Ended.")


@click.command()
@click.argument(
    "models",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    nargs=-1,
    required=True,
    metavar="MODEL.tflite...",
)
@litert_js_option
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--browse/--no-browse", default=True, help="Open the page.  [default: browse]")
def serve(models: tuple[Path, ...], litert_js: Path, port: int, browse: bool) -> None:
    """Open a page that runs TFLite models in the browser.

    Drop a photograph on it and see its labels or its mask. The photograph stays in the browser, and nothing is loaded
    from another host. LiteRT.js, which runs the models there, comes from npm.

    \b
    npm install @litertjs/core@2.5.3
    swiftformer-tf serve models/xs_float16.tflite models/xs_mixed_int8.tflite
    """
    serve_page(models, litert_js=litert_js, port=port, browse=browse)
