"""The requirements that each library for running models on Android has for the file, as data."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ExportError
from swiftformer_tf.recipes import Recipe
from swiftformer_tf.tasks import INDICES, TASKS, Activation

__all__ = ["TARGETS", "Target", "find_target"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A library that runs the file.

    Args:
        name: Name on the command line.
        description: Human-readable description in one line.
        classes: By task, the library's class that runs the file.
        include_preprocessing: Whether the file must normalize pixels itself.
        probabilities: Whether it expects probabilities, if the model can return them.
        channels: Supported numbers of channels.
        input_types: Supported input types, by LiteRT's names.
        output_types: Supported output types, by LiteRT's names.
    """

    name: str
    description: str
    classes: Mapping[str, str]
    include_preprocessing: bool
    probabilities: bool
    channels: tuple[int, ...]
    input_types: tuple[str, ...]
    output_types: tuple[str, ...]

    def fuse_options(
        self, config: SwiftFormerConfig, task: str = "classification", wanted: Activation | None = None
    ) -> dict[str, Any]:
        """Returns the arguments for `fuse` and `export_files` for a model with this configuration.

        Args:
            config: Configuration of the model.
            task: The task of the model, a key of `TASKS`.
            wanted: The activation that the user requested.

        Raises:
            ExportError: The library does not support such a model.

        Examples:
            >>> config = SwiftFormerConfig(id2label={0: "road", 1: "sky"})
            >>> TARGETS["mediapipe"].fuse_options(config, "semantic-segmentation")
            {'include_preprocessing': True, 'classifier_activation': 'softmax'}
            >>> TARGETS["mediapipe"].fuse_options(config, "semantic-segmentation", "argmax")
            Traceback (most recent call last):
            ...
            swiftformer_tf.errors.ExportError: a mask for mediapipe: its ImageSegmenter opens such a file but misreads \
it, since it expects a number for each class; export probabilities instead
        """
        if config.num_channels not in self.channels:
            raise ExportError(
                f"num_channels={config.num_channels} for {self.name}: {self.description}' {self.classes[task]} "
                f"takes only {' or '.join(map(str, self.channels))}; export without `target={self.name!r}`"
            )
        if wanted in INDICES:
            raise ExportError(
                f"a mask for {self.name}: its {self.classes[task]} opens such a file but misreads it, since it "
                "expects a number for each class; export probabilities instead"
            )
        return {
            "include_preprocessing": self.include_preprocessing,
            "classifier_activation": TASKS[task].activation(config) if self.probabilities else None,
        }

    def check(self, recipe: Recipe) -> None:
        """Checks that the library can run files of a recipe.

        Raises:
            ExportError: The library does not support its input or output type.

        Examples:
            >>> from swiftformer_tf.recipes import RECIPES
            >>> TARGETS["mediapipe"].check(RECIPES["int8"].replace(inference_input_type="int8"))
            Traceback (most recent call last):
            ...
            swiftformer_tf.errors.ExportError: recipe int8 for mediapipe: an int8 input: expected float32 or uint8
        """
        sides = {
            "input": (recipe.inference_input_type, self.input_types),
            "output": (recipe.inference_output_type, self.output_types),
        }
        for side, (found, allowed) in sides.items():
            if found not in allowed:
                article = "an" if found.startswith("i") else "a"
                reason = f"{article} {found} {side}: expected {' or '.join(allowed)}"
                raise ExportError(f"recipe {recipe.name} for {self.name}: {reason}")


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            name="mediapipe",
            description="MediaPipe Tasks",
            classes={
                "classification": "ImageClassifier",
                "features": "ImageEmbedder",
                "semantic-segmentation": "ImageSegmenter",
            },
            # It refuses a mean and std per channel, hands bytes to a uint8 input as they are, and shows what comes out
            # as probabilities. An int8 input it refuses.
            include_preprocessing=True,
            probabilities=True,
            channels=(3,),  # "1 x height x width x 3", and refuses gray pictures as well
            input_types=("float32", "uint8"),
            output_types=("float32", "uint8"),
        ),
    )
}


def find_target(name: str) -> Target:
    """Returns an entry of `TARGETS`.

    Raises:
        ExportError: No such target.

    Examples:
        >>> find_target("mediapipe").include_preprocessing
        True
    """
    if name not in TARGETS:
        raise ExportError(f"target {name!r}: expected one of {', '.join(TARGETS)}")
    return TARGETS[name]
