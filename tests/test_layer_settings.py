"""Models of Keras users: frozen, quantized by Keras, with LoRA, in half precision; each as plain Keras has it."""

import functools
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support.random_models import TWO_STAGES, randomized, seeded_model, tiny_config

from swiftformer_tf import (
    SEGMENTATION_HEADS,
    Checkpoint,
    SwiftFormerForImageClassification,
    SwiftFormerForSemanticSegmentation,
    SwiftFormerModel,
    fuse,
    port,
    to_checkpoint,
)
from swiftformer_tf.errors import ModelError
from swiftformer_tf.layer_settings import named_layers
from swiftformer_tf.segmentation_heads import SegmentationHead

PIXELS = np.random.default_rng(0).normal(size=(4, 64, 64, 3)).astype("float32")


@pytest.fixture(autouse=True, scope="module")
def _heap_as_it_was() -> None:
    """Keras collects garbage for each layer that it quantizes, which need not go through what other tests have made."""
    gc.collect()
    gc.freeze()


def tiny(**fields: Any) -> SwiftFormerForImageClassification:
    return seeded_model(tiny_config(**TWO_STAGES, **fields), PIXELS)


def again(model: keras.Model, folder: Path) -> Any:
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


def with_lora(model: keras.Model) -> keras.Model:
    generator = np.random.default_rng(1)
    for _, layer in named_layers(model):
        if isinstance(layer, (keras.layers.Dense, keras.layers.Conv2D)) and hasattr(layer, "enable_lora"):
            layer.enable_lora(2, lora_alpha=4)
            layer.lora_kernel_b.assign(generator.normal(0, 0.1, layer.lora_kernel_b.shape))
    return model


def test_every_layer_has_a_name_of_its_own() -> None:
    paths = [path for path, _ in named_layers(tiny())]
    assert len(paths) == len(set(paths))
    assert paths == [path for path, _ in named_layers(tiny())]


@pytest.mark.parametrize("frozen", ["all but the heads", "one convolution", "a block but for its attention", "all"])
def test_frozen_layers_stay_frozen(frozen: str, tmp_path: Path) -> None:
    model = tiny()
    if frozen == "all":
        model.trainable = False
    for path, layer in named_layers(model):
        if frozen == "all but the heads" and not path.startswith("head"):
            layer.trainable = False
        if (frozen, path) == ("one convolution", "stem/0"):
            layer.trainable = False
        if frozen == "a block but for its attention" and path.startswith("stages-0-blocks-1"):
            layer.trainable = "attn" in path
    loaded = again(model, tmp_path)
    before = {variable.path: variable.trainable for variable in model.variables}
    assert [v.path for v in loaded.trainable_variables] == [v.path for v in model.trainable_variables]
    assert {variable.path: variable.trainable for variable in loaded.variables} == before
    assert loaded.trainable == model.trainable


def test_the_optimizers_state_survives(tmp_path: Path) -> None:
    """As in plain Keras: training goes on from where it stopped."""
    model = tiny()
    for layer in model.layers:
        layer.trainable = "head" in layer.name
    model.compile(keras.optimizers.AdamW(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    labels = np.array([0, 1, 0, 1])
    model.fit(PIXELS, labels, verbose=0)
    loaded = again(model, tmp_path)
    for one, other in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())
    for each in (model, loaded):
        each.fit(PIXELS, labels, shuffle=False, verbose=0)
    assert np.array_equal(model(PIXELS), loaded(PIXELS))


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method:UserWarning")
def test_keras_own_quantization_loads_again_and_is_named(tmp_path: Path) -> None:
    model = tiny()
    model.quantize("int8")
    loaded = again(model, tmp_path)
    assert loaded.get_layer("head").dtype_policy.name == "int8_from_float32"
    assert np.array_equal(model(PIXELS), loaded(PIXELS))
    for use in (fuse, to_checkpoint):
        with pytest.raises(
            ModelError, match=r"quantized by Keras \(int8\), expected float weights; use the model from"
        ):
            use(loaded)


def test_lora_is_saved_and_merged(tmp_path: Path) -> None:
    model = with_lora(tiny())
    wanted = model(PIXELS)
    assert not np.allclose(wanted, tiny()(PIXELS), atol=1e-3)
    loaded = again(model, tmp_path)
    assert [v.path for v in loaded.trainable_variables] == [v.path for v in model.trainable_variables]
    assert (loaded.get_layer("head").lora_rank, loaded.get_layer("head").lora_alpha) == (2, 4)
    assert np.allclose(loaded(PIXELS), wanted, atol=1e-5)
    for each in (model, loaded):
        assert np.allclose(port(to_checkpoint(each)).model(PIXELS), wanted, atol=1e-5)
        assert np.allclose(fuse(each)(PIXELS[:1]), wanted[:1], atol=1e-4)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return to_checkpoint(tiny())


@pytest.fixture(scope="module")
def wanted(checkpoint: Checkpoint) -> np.ndarray:
    """Logits of its model as it is fused in float32."""
    return np.asarray(fuse(port(checkpoint, dtype="float32").model)(PIXELS[:1]))


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16"])
def test_models_of_any_precision_are_fused(precision: str, checkpoint: Checkpoint, wanted: np.ndarray) -> None:
    deploy = fuse(port(checkpoint, dtype=precision).model)
    assert {variable.dtype for variable in deploy.weights} == {"float32"}
    # With mixed precision the variables are the same; the others were rounded to 11 and 8 bits.
    tolerance = {"float16": 2e-2, "bfloat16": 2e-1}.get(precision, 0)
    assert np.abs(deploy(PIXELS[:1]) - wanted).max() <= tolerance * np.abs(wanted).max()


@pytest.mark.parametrize("head", [None, *SEGMENTATION_HEADS])
def test_channels_first_as_keras_default_changes_nothing(head: str | None) -> None:
    def made() -> keras.Model:
        keras.utils.set_random_seed(0)
        if head is None:
            return tiny()
        return SwiftFormerForSemanticSegmentation(tiny_config(**TWO_STAGES), head=SEGMENTATION_HEADS[head])

    wanted = made()(PIXELS)
    keras.config.set_image_data_format("channels_first")
    try:
        model = made()
        assert np.array_equal(model(PIXELS), wanted)
        assert np.allclose(fuse(model)(PIXELS[:1]), wanted[:1], atol=1e-4)
    finally:
        keras.config.set_image_data_format("channels_last")


def test_a_copy_is_told_where_keras_makes_another_model() -> None:
    model = tiny()
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    assert np.array_equal(copy(PIXELS), model(PIXELS))
    with pytest.raises(
        ModelError, match=r"copy a model with type\(model\).from_config\(model.get_config\(\)\), not with keras.models"
    ):
        to_checkpoint(keras.models.clone_model(model))


def flat() -> keras.Model:
    """A head on a backbone's graph, as `fuse` documents it: Keras saves its layers one by one."""
    backbone = SwiftFormerModel(tiny_config(**TWO_STAGES))
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
    return keras.Model(backbone.input, keras.layers.Dense(2, name="mine")(pooled))


def headless() -> keras.Model:
    """The same without Keras's own dense layer, which loses `lora_alpha` in HDF5 (Keras 3.15)."""
    model = flat()
    return keras.Model(model.input, model.layers[-2].output)


def nested() -> keras.Model:
    image = keras.Input((64, 64, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(SwiftFormerModel(tiny_config(**TWO_STAGES))(image))
    return keras.Model(image, keras.layers.Dense(2, name="mine")(pooled))


def segmenter() -> keras.Model:
    head = SegmentationHead(name="semantic_fpn", fpn_dim=16, head_dim=16)
    return SwiftFormerForSemanticSegmentation(tiny_config(**TWO_STAGES), head=head)


def freeze_a_block(model: keras.Model) -> None:
    next(layer for _, layer in named_layers(model) if layer.name == "stages-0-blocks-1").trainable = False


def freeze_norms(model: keras.Model) -> None:
    for _, layer in named_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def freeze_a_block_but_for_its_attention(model: keras.Model) -> None:
    freeze_a_block(model)
    next(each for path, each in named_layers(model) if path.endswith("stages-0-blocks-1/attn")).trainable = True


def freeze_and_add_lora(model: keras.Model) -> None:
    freeze_norms(model)
    freeze_a_block(model)
    with_lora(model)


CHANGES = [freeze_a_block, freeze_norms, freeze_a_block_but_for_its_attention, with_lora, freeze_and_add_lora]


@functools.cache
def unchanged(make: Callable[[], keras.Model]) -> int:
    """How many variables of such a model are trained."""
    return len(make().trainable_variables)


def compile_as_trained(model: keras.Model) -> None:
    """With numbers of their own in all variables, its optimizer's too: one step of a training takes longer."""
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    randomized(model)
    generator = np.random.default_rng(2)
    for variable in model.optimizer.variables:
        variable.assign(generator.integers(1, 100, variable.shape))


def test_what_is_frozen_or_has_lora_within_blocks_trains() -> None:
    model = flat()
    freeze_and_add_lora(model)
    before = {variable.path: variable.numpy() for variable in model.variables}
    model.compile("adam", "mse")
    model.fit(PIXELS, np.zeros(model(PIXELS).shape), verbose=0)
    trained = {variable.path for variable in model.trainable_variables}
    moved = {variable.path for variable in model.variables if not np.array_equal(variable, before[variable.path])}
    assert moved
    assert moved <= trained
    assert any("lora" in path for path in moved)


def trainable(model: keras.Model) -> list[str]:
    return [variable.path.split("/", 1)[-1] for variable in model.trainable_variables]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("make", [flat, nested, segmenter])
def test_what_was_set_within_blocks_is_saved(
    make: Callable[[], keras.Model], change: Callable[[keras.Model], object], tmp_path: Path
) -> None:
    model = make()
    change(model)
    assert len(model.trainable_variables) != unchanged(make)
    compile_as_trained(model)
    loaded = again(model, tmp_path)
    assert trainable(loaded) == trainable(model)
    assert np.array_equal(loaded(PIXELS[:1]), model(PIXELS[:1]))
    for one, other in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method:UserWarning")
@pytest.mark.parametrize("make", [flat, nested, segmenter])
def test_what_keras_quantized_within_blocks_loads_again(make: Callable[[], keras.Model], tmp_path: Path) -> None:
    model = make()
    model.quantize("int8")
    loaded = again(model, tmp_path)
    assert "int8_from_float32" in {layer.dtype_policy.name for _, layer in named_layers(loaded)}
    assert np.array_equal(loaded(PIXELS), model(PIXELS))


def test_blocks_as_they_were_made_are_saved_without_settings() -> None:
    block = flat().get_layer("stages-0-blocks-1")
    assert "layers" not in block.get_config()
    block.trainable = False
    assert "layers" not in block.get_config()  # what is within is frozen with it
    block.attn.trainable = True
    assert block.get_config()["layers"] == {"attn": {"trainable": True}}
    unbuilt = type(block).from_config(block.get_config())
    assert unbuilt.get_config() == block.get_config()


@pytest.mark.parametrize("change", CHANGES[:-2])
@pytest.mark.parametrize("make", [tiny, flat, segmenter])
def test_a_clone_is_frozen_as_its_model(
    make: Callable[[], keras.Model], change: Callable[[keras.Model], object]
) -> None:
    model = make()
    change(model)
    assert trainable(keras.models.clone_model(model)) == trainable(model)


@pytest.mark.filterwarnings("ignore:.*HDF5")
@pytest.mark.parametrize("kind", ["classifier", "backbone", "segmenter", "flat", "deploy", "frozen", "LoRA"])
def test_whole_models_as_hdf5_load_again(kind: str, tmp_path: Path) -> None:
    """Keras's older format: it names a model without its package."""
    made: dict[str, Callable[[], keras.Model]] = {
        "classifier": tiny,
        "backbone": lambda: SwiftFormerModel(tiny_config(**TWO_STAGES)),
        "segmenter": segmenter,
        "flat": flat,
        "deploy": lambda: fuse(tiny()),
        "frozen": tiny,
        "LoRA": lambda: with_lora(headless()),
    }
    model = made[kind]()
    if kind == "frozen":
        freeze_norms(model)
    model.save(tmp_path / "model.h5")
    loaded = keras.models.load_model(tmp_path / "model.h5")
    assert type(loaded) is type(model)
    assert trainable(loaded) == trainable(model)
    assert np.array_equal(loaded(PIXELS[:1]), model(PIXELS[:1]))
