"""GELUs as products with a sigmoid: what they make, that XNNPACK takes them, and every other activation in integers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support.random_models import pictures, seeded_model, tiny_config
from support.small_graphs import answers, converted

from swiftformer_tf import (
    RECIPES,
    Calibration,
    DeployModel,
    LiteModel,
    LiteRunner,
    SwiftFormerForImageClassification,
    calibrate,
    export,
    fuse,
)
from swiftformer_tf.layers.activations import FUNCTIONS
from swiftformer_tf.litert.integers import dequantized
from swiftformer_tf.litert.profiling import profile_ops
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.quantization import Graph, Statistics, lower_gelu, measure, rewrite, rewriting
from swiftformer_tf.quantization.gelu import LEAST_OF_GELU, RANGES, lowered_gelus, read_by_gelus
from swiftformer_tf.verification import signal_to_noise

Lite = Callable[..., LiteModel]

# Int8 inside, and as inference input and output type.
BYTES = RECIPES["int8"].replace(inference_input_type="int8", inference_output_type="int8")


def gelu(values: Any) -> Any:
    return keras.ops.gelu(values, approximate=False)


def measured(graph: Graph, images: np.ndarray) -> Statistics:
    with native_stderr_silenced():
        return measure(graph, (image[None] for image in images))


def in_bytes(lowest: float, highest: float, *, lowered: bool) -> bytes:
    """One GELU of int8 for inputs from `lowest` to `highest`."""
    graph = Graph(converted(gelu, 16, 16, 1))
    statistics = measured(graph, np.linspace(lowest, highest, 256, dtype=np.float32).reshape(1, 16, 16, 1))
    if lowered:
        graph, statistics = lower_gelu(graph, statistics)
    return rewrite(graph, dict.fromkeys(graph.operations, "integer"), BYTES, statistics)


def of_all_bytes(content: bytes, *, xnnpack: bool = True) -> tuple[np.ndarray, np.ndarray, float]:
    """Inputs and outputs in float, and a step of the outputs."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kind = OpResolverType.AUTO if xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    with native_stderr_silenced():
        interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kind)
        interpreter.allocate_tensors()
    graph = Graph(content)
    (source,), (output,) = graph.inputs, graph.outputs
    before, after = graph.quantization(source), graph.quantization(output)
    assert before is not None
    assert after is not None
    given = np.arange(-128, 128).astype(np.int8).reshape(1, 16, 16, 1)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], given)
    interpreter.invoke()
    made = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return dequantized(given, before).ravel(), dequantized(made, after).ravel(), float(after.scale[0])


def test_integers_throughout_have_gelus_lowered_and_no_other_recipe() -> None:
    assert [name for name, recipe in RECIPES.items() if recipe.lower_gelu] == ["int8"]


def test_every_gelu_is_lowered_and_the_graph_computes_what_it_did(
    lite: Lite, deploy: DeployModel, pixels: np.ndarray
) -> None:
    images = deploy.config.transform.normalize(pixels[:16])
    graph = Graph(lite("float32").content)
    plain = measured(Graph(lite("float32").content), images)
    before, gelus = len(graph.operations), sum(op.name == "GELU" for op in graph.operations)
    before_operations = graph.operations
    lowered, _ = lower_gelu(graph, plain)
    assert graph.operations == before_operations  # what was given stays
    graph = lowered
    assert len(lowered_gelus(graph)) == gelus > 0
    assert len(graph.operations) == before + len(RANGES) * gelus
    assert not any(op.name == "GELU" for op in graph.operations)
    (logits,) = graph.outputs
    found = measured(graph, images)
    ratio = signal_to_noise(plain.pixels[logits].astype(np.float64), found.pixels[logits].astype(np.float64))
    assert ratio is not None
    assert 45 < ratio < 100  # a tanh for the error function


@pytest.mark.parametrize(("lowest", "highest"), [(-9.3, 6.5), (-16.7, 6.8), (-3.0, 12.0)])
def test_a_lowered_gelu_is_within_a_step_of_a_gelu(lowest: float, highest: float) -> None:
    inputs, outputs, step = of_all_bytes(in_bytes(lowest, highest, lowered=True))
    expected = np.asarray(gelu(inputs.astype(np.float64)))
    assert np.abs(outputs - expected).max() < 1.6 * step  # half a step is rounding
    # The sigmoid's own largest integer stands for 255/256.
    large = inputs > 3.4
    assert np.abs(outputs - expected * 255 / 256)[large].max() < 0.8 * step


@pytest.mark.parametrize(("lowest", "highest"), [(-9.3, 6.5), (-3.0, 3.0)])
def test_xnnpacks_table_holds_what_the_kernels_compute(lowest: float, highest: float) -> None:
    content = in_bytes(lowest, highest, lowered=True)
    _, outputs, step = of_all_bytes(content)
    _, computed, _ = of_all_bytes(content, xnnpack=False)
    assert np.abs(outputs - computed).max() < 1.01 * step
    assert np.mean(outputs != computed) < 0.05


def behind_a_convolution(*, shared: bool, lowered: bool) -> tuple[float, float]:
    """The least value that int8 holds of a convolution's outputs, and the decibels of the GELU that reads them.

    They go from -20 to 6. Where they are shared, the GELU is not alone in reading them.
    """

    def layer(source: Any) -> Any:
        bias = keras.initializers.Constant(-7)
        made = keras.layers.Conv2D(8, 1, kernel_initializer="ones", bias_initializer=bias)(source)
        # The range of the last matrix's own output would be wider.
        identity = keras.layers.Conv2D(8, 1, kernel_initializer=keras.initializers.Constant(np.eye(8)[None, None]))
        return identity(gelu(made) + made if shared else gelu(made))

    images = np.linspace(-13, 13, 8 * 256, dtype=np.float32).reshape(8, 16, 16, 1)
    content = converted(layer, 16, 16, 1)
    graph, statistics = Graph(content), measured(Graph(content), images)
    if lowered:
        graph, statistics = lower_gelu(graph, statistics)
    assert len(read_by_gelus(graph)) == (not shared)
    integers = rewrite(graph, dict.fromkeys(graph.operations, "integer"), RECIPES["int8"], statistics)
    convolution = next(op for op in Graph(integers).operations if op.name == "CONV_2D")
    quantization = Graph(integers).quantization(convolution.outputs[0])
    assert quantization is not None
    ratio = signal_to_noise(*(answers(each, images[:, None]).astype(np.float64) for each in (content, integers)))
    assert ratio is not None
    return float(dequantized(np.array([-128]), quantization)[0]), ratio


@pytest.mark.parametrize("lowered", [False, True])
def test_no_steps_are_lost_on_what_a_gelu_makes_nothing_of(lowered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    lowest, ratio = behind_a_convolution(shared=False, lowered=lowered)
    shared, _ = behind_a_convolution(shared=True, lowered=lowered)
    monkeypatch.setattr(rewriting, "LEAST_OF_GELU", -np.inf)
    whole, whole_ratio = behind_a_convolution(shared=False, lowered=lowered)
    assert lowest == pytest.approx(LEAST_OF_GELU, abs=0.1)
    assert whole == pytest.approx(-20, abs=0.1)
    assert shared == pytest.approx(-20, abs=0.1)
    assert ratio > whole_ratio + 1


def test_xnnpack_makes_one_table_of_a_lowered_gelu(tmp_path: Path) -> None:
    path = tmp_path / "lowered.tflite"
    path.write_bytes(in_bytes(-4, 4, lowered=True))
    assert len(Graph(path.read_bytes()).operations) == len(RANGES) + 1
    assert [(op.count, op.xnnpack) for op in profile_ops(path, repeats=3)] == [(1, True)]
    # And LiteRT keeps a GELU for itself.
    path.write_bytes(in_bytes(-4, 4, lowered=False))
    assert [(op.name, op.xnnpack) for op in profile_ops(path, repeats=3)] == [("GELU", False)]


def test_lowered_gelus_are_found_in_the_file_and_silu_is_none(lite: Lite) -> None:
    found = lowered_gelus(Graph(lite("int8").content))
    assert len(found) == len({each.output for each in found}) > 0
    assert lowered_gelus(Graph(lite("int16x8").content)) == []
    graph = Graph(converted(keras.ops.silu, 8, 8, 3))
    assert [op.name for op in graph.operations] == ["LOGISTIC", "MUL"]
    assert lowered_gelus(graph) == []


def test_fewer_cuts_of_the_graph_and_the_same_answers(
    calibrated_deploy: Callable[..., tuple[DeployModel, Calibration]], lite: Lite, pixels: np.ndarray
) -> None:
    deploy, calibration = calibrated_deploy()
    images = deploy.config.transform.normalize(pixels)
    right = LiteRunner(lite("float32"))

    def judged(model: LiteModel) -> tuple[int, float]:
        runner = LiteRunner(model)
        answers = [np.stack([run(image[None]) for image in images]).astype(np.float64) for run in (right, runner)]
        return runner.partitions, signal_to_noise(*answers) or 0.0

    partitions, ratio = judged(lite("int8"))
    more_partitions, best = judged(export(deploy, RECIPES["int8"].replace(lower_gelu=False), calibration=calibration))
    assert partitions < more_partitions
    assert ratio > best - 1.5


# One name of each function.
ACTIVATIONS = sorted({function: name for name, function in FUNCTIONS.items()}.values())


@pytest.mark.parametrize("hidden_act", ACTIVATIONS)
def test_every_activation_has_integers(hidden_act: str) -> None:
    """With softplus made of e to the power of x, mish had 4 dB, 4 dB and -7 dB."""
    config = tiny_config(hidden_act=hidden_act, image_size=32, depths=(2,), embed_dims=(8,), downsamples=(True,))
    images = config.transform.normalize(pictures(12, 32, 32))
    model: SwiftFormerForImageClassification = seeded_model(config, images)
    deploy = fuse(model)
    calibration = calibrate(deploy, images)
    expected = model.predict(images, verbose=0).astype(np.float64)
    for recipe, least in {"mixed_int8": 13, "int8": 9, "int16x8": 22}.items():
        runner = LiteRunner(export(deploy, RECIPES[recipe], calibration=calibration))
        actual = np.stack([runner(image[None]) for image in images]).reshape(len(images), -1).astype(np.float64)
        ratio = signal_to_noise(expected, actual)
        assert ratio is not None
        assert ratio > least, recipe
