"""Means over channels as convolutions by equal weights, for NPUs that take no such mean."""

from collections.abc import Callable

import numpy as np
import pytest

from swiftformer_tf import RECIPES, Calibration, DeployModel, LiteModel, LiteRunner, export
from swiftformer_tf.quantization import Graph

Lite = Callable[..., LiteModel]


def over_channels(graph: Graph) -> int:
    means = [graph.constant(op.inputs[1]) for op in graph.operations if op.name == "MEAN"]
    return sum(axes is not None and (axes.reshape(-1) % 4).tolist() == [3] for axes in means)


def test_recipes_of_eight_bits_have_them_and_no_other() -> None:
    assert [name for name, recipe in RECIPES.items() if recipe.lower_mean] == ["int8", "static_int8"]


@pytest.mark.parametrize("recipe", ["int8", "static_int8"])
def test_the_integers_are_those_of_the_mean(
    recipe: str, calibrated_deploy: Callable[..., tuple[DeployModel, Calibration]], pixels: np.ndarray
) -> None:
    deploy, calibration = calibrated_deploy()
    row = RECIPES[recipe].replace(inference_output_type="int8")
    lowered = export(deploy, row, calibration=calibration)
    plain = export(deploy, row.replace(lower_mean=False), calibration=calibration)
    assert (over_channels(Graph(lowered.content)), over_channels(Graph(plain.content))) == (0, 4)
    images = deploy.config.transform.normalize(pixels)
    runners = [LiteRunner(each) for each in (lowered, plain)]
    answers = [np.stack([runner(image[None]) for image in images]) for runner in runners]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert len(np.unique(answers[0])) > 20


def test_the_recipe_for_npus_has_one_operation_a_function(lite: Lite) -> None:
    graph = Graph(lite("static_int8").content)
    names = {op.name for op in graph.operations}
    assert {"GELU", "RSQRT"} < names
    assert not names & {"LOG", "EXP", "LOGISTIC", "TANH"}
    floats = {graph.kind(each) for op in graph.operations[1:-1] for each in (*op.inputs, *op.outputs) if each >= 0}
    assert floats <= {"int8", "int32"}
