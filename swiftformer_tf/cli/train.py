"""`swiftformer-tf train`"""

from pathlib import Path
from typing import Any, get_args

import click

from swiftformer_tf.cli.console import TASK_OPTIONS, ImageSize, ModelFile, note, token_weights_option, weights_option
from swiftformer_tf.cli.training_progress import progress
from swiftformer_tf.config import VARIANTS
from swiftformer_tf.images.annotations import ProblemType
from swiftformer_tf.training.recipes import TRAINING_RECIPES

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_RUN = click.Path(file_okay=False, path_type=Path)


class RecipeFile(click.Path):
    """The name of a training recipe, or a file that contains one."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in TRAINING_RECIPES:
            return value
        if not Path(value).is_file():
            self.fail(
                f"{value!r}: expected {', '.join(TRAINING_RECIPES)}, or a file with the fields of a recipe", param, ctx
            )
        return super().convert(value, param, ctx)


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("-o", "--output", type=_RUN, required=True, help="The run's folder.")
@click.option(
    "--validation",
    type=_FOLDER,
    help="Photographs to evaluate on after each epoch, in subfolders like FOLDER; the best epoch is kept.",
)
@click.option("--variant", type=click.Choice(list(VARIANTS)), help="Variant of a new model.  [default: xs]")
@click.option("--from", "source", type=ModelFile(), help="A .keras model or a checkpoint to start from.")
@click.option(
    "--recipe",
    type=RecipeFile(),
    metavar="|".join([*TRAINING_RECIPES, "FILE.json"]),
    default="short",
    show_default=True,
    help="Training recipe: a name, a .json file with its fields, or the run.json of another run.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Overrides the recipe's; the warm-up is cut to fit.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Overrides the recipe's; its rates are scaled.")
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), help="Overrides the recipe's.")
@click.option(
    "--image-size",
    type=ImageSize(),
    help="Default: that of --from, or 224; for segmentation that of the first photograph.",
)
@click.option("--crop", type=click.FloatRange(0, 1, min_open=True), help="Share kept by evaluation's center crop.")
@click.option(
    "--teacher",
    type=ModelFile(),
    help="A classifier to distill from: a .keras or .tflite file or a checkpoint. If it is not a SwiftFormer, it needs "
    "a NAME.json next to it with its `transform` and its `labels`.",
)
@click.option("--freeze", "frozen", type=click.IntRange(min=0), default=0, help="Freeze the stem and this many stages.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "mixed_bfloat16", "mixed_float16"]),
    default="float32",
    show_default=True,
    help="Compute precision.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all random numbers.")
@click.option("--tensorboard", is_flag=True, help="Also log for TensorBoard, into the run's folder.")
@click.option("--num-processes", type=click.IntRange(min=1), default=1, help="Number of processes that train together.")
@click.option("--process-id", type=click.IntRange(min=0), default=0, help="Index of this process; 0 writes OUTPUT.")
@click.option("--coordinator-address", metavar="HOST:PORT", help="Address of process 0.")
@click.option(
    "--problem-type",
    type=click.Choice(get_args(ProblemType)),
    metavar="NAME",
    help=f"What labels mean: {', '.join(get_args(ProblemType))}. Default: that of --from, or what FOLDER implies; "
    "required if there is only one label.",
)
@click.option(
    "--task",
    type=click.Choice(list(TASK_OPTIONS)),
    default="classification",
    show_default=True,
    help="For segmentation, FOLDER is a folder named images or one inside it. The masks are .png files of the same "
    "names in a folder masks next to images, and classes.csv next to both has a line `name` or `name,color` per class.",
)
@click.option(
    "--head",
    metavar="NAME",
    help="Head of a segmenter: semantic_fpn, semantic_fpn_64 or all_mlp. Default: that of a segmenter in --from, or "
    "semantic_fpn_64.",
)
@token_weights_option
@weights_option
def train(
    folder: Path,
    output: Path,
    validation: Path | None,
    variant: str | None,
    source: Path | None,
    recipe: str | Path,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    image_size: Any,
    crop: float | None,
    teacher: Path | None,
    frozen: int,
    dtype: str,
    seed: int,
    tensorboard: bool,
    num_processes: int,
    process_id: int,
    coordinator_address: str | None,
    problem_type: Any,
    task: str,
    head: str | None,
    token_weights: Any,
    weights: str | None,
) -> None:
    """Train or fine-tune a classifier or a segmenter.

    FOLDER has photographs in one subfolder per class, or photographs and a metadata.csv; for segmentation, see --task.
    As in Hugging Face's ImageFolder, metadata.csv has a column file_name, followed by a column of 0 and 1 for each
    label, one column with the names of the labels that apply, or a column for each number to learn (--problem-type
    regression).

    If interrupted, run the same command again to continue from the last complete epoch.

    \b
    swiftformer-tf train photos/train -o run --validation photos/val --from xs.pth

    To train on several machines, set KERAS_BACKEND=jax and run the same command on each with its own --process-id:

    \b
    swiftformer-tf train ... --num-processes 2 --process-id 0 \\
        --coordinator-address 10.0.0.1:1234
    """
    from swiftformer_tf.training import best_epoch, validation_figures
    from swiftformer_tf.training import train as run_training

    with progress() as callbacks:
        history = run_training(
            folder,
            output,
            task=TASK_OPTIONS[task],
            validation=validation,
            variant=variant,
            source=source,
            recipe=recipe,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            image_size=image_size,
            crop=crop,
            problem_type=problem_type,
            teacher=teacher,
            head=head,
            frozen=frozen,
            dtype=dtype,
            seed=seed,
            tensorboard=tensorboard,
            token_weights=token_weights,
            weights=weights,
            num_processes=num_processes,
            process_id=process_id,
            coordinator_address=coordinator_address,
            callbacks=callbacks,
            tell=lambda plan: note("\n".join(plan.lines)),
        )
    best = best_epoch(history)
    shown = ", ".join([f"epoch {best['epoch']:.0f} of {len(history)}", *validation_figures(best)])
    click.echo(f"{output / 'model.keras'}: {shown}")
