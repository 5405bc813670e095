"""`swiftformer-tf predict`"""

from pathlib import Path
from typing import Any

import click

from swiftformer_tf.cli.console import ModelFile, print_json, token_weights_option


@click.command()
@click.argument("model", type=ModelFile())
@click.argument("images", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="IMAGE...")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="How many labels to show.")
@token_weights_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def predict(model: Path, images: tuple[Path, ...], top: int, token_weights: Any, as_json: bool) -> None:
    """Label photographs with a .keras or .tflite model or a checkpoint.

    \b
    swiftformer-tf predict models/xs_int8.tflite cat.jpg dog.png --top 3
    """
    import numpy as np

    from swiftformer_tf.errors import ImageError, ModelError
    from swiftformer_tf.loading import open_any
    from swiftformer_tf.predicting import predictor, probabilities
    from swiftformer_tf.tasks.classification import activation

    for path in images:
        if path.is_dir():
            raise ImageError(f"{path}: is a folder; give photographs")
        if not path.exists():
            raise ImageError(f"{path}: no such file")
    opened = open_any(model, token_weights=token_weights)
    run, config = predictor(opened)
    if not config.num_labels:
        raise ModelError(f"{model}: no labels to predict; it returns pooled features")
    config.transform.check_photographs()
    # Opened first, all of them: one that cannot be read stops the command before anything is printed.
    inputs = [config.transform(path) for path in images]
    results: list[dict[str, Any]] = []
    for path, image in zip(images, inputs, strict=True):
        scores = probabilities(run(image[None]), opened)[0]
        best = np.argsort(-scores, kind="stable")[:top]
        labels = [{"label": config.labels[index], "index": int(index), "score": float(scores[index])} for index in best]
        results.append({"image": str(path), "labels": labels})
    if as_json:
        print_json(results)
        return
    for result in results:
        click.echo(result["image"])
        for entry in result["labels"]:
            score = f"{entry['score']:7.2%}" if activation(config) else f"{entry['score']:9.4g}"
            click.echo(f"  {score}  {entry['label']}")
