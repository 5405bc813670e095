"""The weights that ship under Keras's dtype policies, beside float32: writes `precision.md` here.

python docs/results/precision.py imagenette/val
"""

from pathlib import Path

import click
import numpy as np
from measuring import NAME, chosen_photographs, prepared, reference_logits

import swiftformer_tf as sf
from swiftformer_tf.files import replacing
from swiftformer_tf.images.labels import labeled_images
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.verification import signal_to_noise

PAGE = Path(__file__).with_suffix(".md")
POLICIES = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16")


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--count", default=400, show_default=True, help="Photographs, of each class alike.")
def main(folder: Path, count: int) -> None:
    """Compare every policy with float32 on photographs of FOLDER."""
    model = sf.SwiftFormerForImageClassification.from_pretrained(NAME)
    labeled = labeled_images(folder, model.config.labels)
    targets = dict(zip(labeled.paths, labeled.targets, strict=True))
    paths = chosen_photographs(folder, count)
    inputs, right = prepared(paths, model.config), np.array([targets[path] for path in paths])
    expected = reference_logits(model, inputs)
    top1 = float(np.mean(expected.argmax(axis=1) == right))
    lines = [
        f"# {NAME}: dtype policies on {len(inputs)} photographs",
        "",
        f"Made by `python docs/results/precision.py imagenette/val --count {count}`, on a CPU, at",
        f"{model.config.image_size} px; in float32 the model has {top1:.2%} top-1. SNR of the logits, with their",
        "mean in float32 subtracted. Every policy computes the norms of the attention in float32.",
        "",
        "| policy | weights | SNR dB | agreement | top-1 | points lost |",
        "|---|---|---|---|---|---|",
    ]
    for policy in POLICIES:
        other = sf.SwiftFormerForImageClassification(model.config, dtype=policy)
        other.set_weights(model.get_weights())
        actual = reference_logits(other, inputs)
        kept = float(np.mean(actual.argmax(axis=1) == right))
        same = float(np.mean(expected.argmax(axis=1) == actual.argmax(axis=1)))
        lines.append(
            f"| `{policy}` | {other.weights[0].dtype} | {signal_to_noise(expected, actual) or 0.0:.1f} | "
            f"{same:.2%} | {kept:.2%} | {100 * (top1 - kept):.2f} |"
        )
        click.echo(lines[-1])
    with replacing(PAGE) as beside:
        beside.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    with native_stderr_silenced():
        main()
