"""Semantic segmentation: model, masks, figures and training, on drawn pictures."""

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import sklearn.metrics
from support.random_models import randomized, tiny_config
from support.segments import CROPS, SMALL, cropping, segmenter, tiny, write_pairs
from support.tracing import steps_traced

from swiftformer_tf import (
    RECIPES,
    ConfigError,
    ModelError,
    SwiftFormerConfig,
    SwiftFormerForImageClassification,
    export,
    fuse,
)
from swiftformer_tf.accuracy import evaluate
from swiftformer_tf.evaluation import evaluate_segmentation
from swiftformer_tf.images.masks import VOID, MaskFolder
from swiftformer_tf.layers.resizing import BilinearResize, NearestUpsampling
from swiftformer_tf.segmentation import (
    SwiftFormerForSemanticSegmentation,
    copy_backbone,
)
from swiftformer_tf.segmentation_heads import SEGMENTATION_HEADS, SegmentationHead
from swiftformer_tf.tasks.semantic_segmentation import PixelConfusion, answers_at, confusion_matrix

ALL_MLP = SegmentationHead(name="all_mlp", head_dim=8)


@pytest.mark.parametrize("name", SEGMENTATION_HEADS)
def test_heads_answer_alike_called_predicted_and_saved(name: str, tmp_path: Path) -> None:
    model = segmenter(SEGMENTATION_HEADS[name])
    images = np.random.default_rng(0).normal(size=(2, 90, 67, 3)).astype(np.float32)
    before = [np.asarray(value) for value in model.get_weights()]
    logits = np.asarray(model(images))
    assert logits.shape == (2, 23, 17, 2)
    assert logits.dtype == np.float32
    with steps_traced(True):
        predicted = model.predict(images, verbose=0)
    np.testing.assert_allclose(predicted, logits, atol=1e-5 * abs(logits).max())
    for was, now in zip(before, model.get_weights(), strict=True):  # nothing went into training mode
        np.testing.assert_array_equal(was, now)
    model.save(tmp_path / "segmenter.keras")
    loaded = keras.models.load_model(tmp_path / "segmenter.keras")
    assert isinstance(loaded, SwiftFormerForSemanticSegmentation)
    assert loaded.head == model.head
    np.testing.assert_array_equal(np.asarray(loaded(images)), logits)


@pytest.mark.parametrize(
    ("name", "parameters"), [("semantic_fpn", 4_099_979), ("semantic_fpn_64", 436_427), ("all_mlp", 45_515)]
)
def test_heads_have_their_parameters_on_xs(name: str, parameters: int) -> None:
    config = SwiftFormerConfig.from_variant("xs", id2label={index: str(index) for index in range(11)})
    model = SwiftFormerForSemanticSegmentation(config, head=SEGMENTATION_HEADS[name])
    layers = [layer for layer in model.layers if layer.name.startswith(("neck-", "decode_head-"))]
    assert sum(layer.count_params() for layer in layers) == parameters


def test_mixed_precision_gives_float32_logits() -> None:
    model = SwiftFormerForSemanticSegmentation(tiny(), head=SMALL, dtype="mixed_bfloat16")
    assert model(np.zeros((1, 32, 32, 3), np.float32)).dtype == "float32"


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (6, 7)])
def test_upsampling_to_the_nearest_is_pytorchs(size: tuple[int, int]) -> None:
    given = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    actual = np.asarray(NearestUpsampling()(given, np.zeros((2, *size, 1), np.float32)))
    rows, columns = (np.arange(side) * have // side for side, have in zip(size, (3, 4), strict=True))
    np.testing.assert_array_equal(actual, given[:, rows][:, :, columns])


def test_resizing_keeps_a_map_of_the_right_size() -> None:
    given = np.random.default_rng(0).normal(size=(1, 3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(BilinearResize()(given, np.zeros((1, 3, 4, 1), np.float32))), given)


def test_the_backbone_comes_from_a_classifier_and_the_head_is_new() -> None:
    classifier = randomized(SwiftFormerForImageClassification(tiny()), seed=1)
    model = segmenter()
    head = {v.path: v.numpy() for v in model.weights if v.path.startswith(("neck-", "decode_head-"))}
    new = copy_backbone(model, classifier)
    assert set(new) == set(head)
    trained = {variable.path: variable.numpy() for variable in classifier.weights}
    for variable in model.weights:
        np.testing.assert_array_equal(variable.numpy(), {**trained, **head}[variable.path])


def test_another_backbone_is_refused() -> None:
    model, config = segmenter(), tiny()
    with pytest.raises(ConfigError, match="its stem has other shapes; expected the backbone of swiftformer_for_sem"):
        copy_backbone(model, SwiftFormerForImageClassification(config.replace(embed_dims=(10, 12))))
    with pytest.raises(ConfigError, match="its stages-0-blocks-0 has other shapes"):
        copy_backbone(model, SwiftFormerForImageClassification(config.replace(depths=(1, 1))))
    with pytest.raises(ConfigError, match="token_weights is 'uniform', expected 'l2'"):
        copy_backbone(model, SwiftFormerForImageClassification(config.replace(token_weights="uniform")))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "unet"}, r"head.name='unet': expected one of semantic_fpn, all_mlp"),
        ({"fpn_dim": 0}, "head.fpn_dim=0: expected a whole number from 1 to 4096"),
        ({"head_dim": True}, "head.head_dim=True: expected a whole number"),
        ({"dropout": 1.0}, "head.dropout=1.0: expected a number from 0 to below 1"),
        ({"width": 3}, "head.width: no such field"),
    ],
)
def test_impossible_heads_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SegmentationHead.from_dict(fields)


@pytest.mark.parametrize("name", SEGMENTATION_HEADS)
def test_a_head_has_at_least_the_parameters_that_its_widths_ask_for(name: str) -> None:
    head = SEGMENTATION_HEADS[name]
    model = SwiftFormerForSemanticSegmentation(tiny_config(), head=head)  # with the four maps that heads are made for
    has = sum(layer.count_params() for layer in model.layers if layer.name.startswith(("neck-", "decode_head-")))
    assert 0.05 * has < head.least_parameters < has


def test_a_segmenter_needs_labels_and_halving_stages() -> None:
    with pytest.raises(ConfigError, match="a segmenter needs a label for each class"):
        SwiftFormerForSemanticSegmentation(tiny().replace(id2label={}))
    with pytest.raises(
        ConfigError, match="down_stride=3: expected 2, since a segmentation head needs stages that halve"
    ):
        SwiftFormerForSemanticSegmentation(tiny().replace(down_stride=3))


def test_figures_are_those_of_scikit_learn_and_of_keras() -> None:
    rng = np.random.default_rng(0)
    truth, answers = rng.integers(0, 4, (3, 20, 30)), rng.integers(0, 4, (3, 20, 30))
    truth[:, :2] = VOID
    confusion = PixelConfusion.empty(("a", "b", "c", "d"))
    for one, other in zip(truth, answers, strict=True):
        confusion = confusion.add(one, other)
    counted, answered = truth[truth != VOID], answers[truth != VOID]
    metric = keras.metrics.MeanIoU(4)
    metric.update_state(counted, answered)
    np.testing.assert_array_equal(confusion.matrix, np.asarray(metric.total_cm))
    assert confusion.mean_iou == pytest.approx(float(metric.result()), abs=1e-6)
    np.testing.assert_array_equal(confusion.matrix, sklearn.metrics.confusion_matrix(counted, answered))
    np.testing.assert_allclose(confusion.iou, sklearn.metrics.jaccard_score(counted, answered, average=None))
    mean = sklearn.metrics.jaccard_score(counted, answered, average="macro")
    assert confusion.mean_iou == pytest.approx(mean, abs=1e-12)
    assert confusion.pixel_accuracy == sklearn.metrics.accuracy_score(counted, answered)


def test_a_class_that_is_nowhere_counts_nowhere() -> None:
    confusion = PixelConfusion.empty(("a", "b")).add(np.array([0, VOID]), np.array([0, 1]))
    assert np.isnan(confusion.iou[1])
    assert confusion.mean_iou == 1
    assert [row["label"] for row in confusion.to_dict()["per_class"]] == ["a"]


def test_pixels_of_no_class_are_refused() -> None:
    for beyond in (2, 7):
        with pytest.raises(ModelError, match=f"answers: classes from 0 to {beyond}, expected 0 to 1"):
            confusion_matrix(np.array([0, 1]), np.array([0, beyond]), 2)
        with pytest.raises(ModelError, match=f"truth: classes from 0 to {beyond}, expected 0 to 1"):
            confusion_matrix(np.array([0, beyond]), np.array([0, 1]), 2)
    with pytest.raises(ModelError, match=r"answers of shape \(1,\): expected \(2,\)"):
        confusion_matrix(np.array([0, 1]), np.array([0]), 2)


def test_evaluation_is_at_the_masks_own_size(pairs: Path) -> None:
    folder = MaskFolder.open(pairs)

    def knows(images: np.ndarray) -> np.ndarray:
        pixels = tiny().transform.denormalize(images)
        return np.stack([pixels[..., 2], pixels[..., 1]], axis=-1)

    assert evaluate_segmentation(knows, tiny(), folder).mean_iou == 1
    constant = evaluate_segmentation(lambda images: np.zeros((1, 4, 4), np.int64), tiny(), folder)
    assert constant.iou[1] == 0
    assert constant.pixel_accuracy == pytest.approx(constant.iou[0])


def test_evaluation_is_the_same_for_keras_fused_models_and_files(tmp_path: Path) -> None:
    pairs, model = write_pairs(tmp_path, count=2), segmenter()
    expected = evaluate(model, pairs).to_dict()
    logits, mask = fuse(model), fuse(model, classifier_activation="argmax", include_preprocessing=True)
    for deploy in (logits, fuse(model, classifier_activation="softmax"), mask):
        fused = evaluate(deploy, pairs, task="semantic-segmentation").to_dict()
        assert fused == evaluate(export(deploy, RECIPES["float32"]), pairs).to_dict()
        deploy.save(tmp_path / "fused.keras")
        assert fused == evaluate(tmp_path / "fused.keras", pairs).to_dict()
        if deploy is logits:  # the others are resized twice where the mask has another size than the model
            assert fused == expected


def test_evaluation_refuses_what_it_cannot_count(pairs: Path) -> None:
    folder = MaskFolder.open(pairs)
    with pytest.raises(ModelError, match=r"0.png: outputs of shape \(1, 4, 4, 3\): expected \(1, h, w, 2\)"):
        evaluate_segmentation(lambda images: np.zeros((1, 4, 4, 3)), tiny(), folder)
    with pytest.raises(ModelError, match=r"0.png: the model's outputs are not finite"):
        evaluate_segmentation(lambda images: np.full((1, 4, 4, 2), np.nan), tiny(), folder)
    with pytest.raises(ConfigError, match=f"^{CROPS}"):
        evaluate_segmentation(lambda images: np.zeros((1, 4, 4, 2)), cropping().config, folder)
    assert answers_at(np.array([[[0, 1], [1, 0]]]), (4, 4), 2)[0].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("num_labels", [1, 2, 3, 150])
@pytest.mark.parametrize("size", [(6, 10), (37, 53), (5, 9)])
def test_answers_are_those_of_all_classes_at_once(
    num_labels: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose maps at the size of a photograph are never in memory together."""
    outputs = np.random.default_rng(0).normal(size=(1, 6, 10, num_labels)).astype(np.float32)
    outputs[0, :3] = outputs[0, :3].round()  # equal ones
    resize, made = keras.ops.image.resize, []

    def watched(*arguments: Any, **options: Any) -> Any:
        made.append(resize(*arguments, **options))
        return made[-1]

    whole = resize(outputs, size, interpolation="bilinear", data_format="channels_last")
    monkeypatch.setattr(keras.ops.image, "resize", watched)
    answers = answers_at(outputs, size, num_labels)
    np.testing.assert_array_equal(answers, np.argmax(np.asarray(whole)[0], axis=-1))
    assert answers.dtype == np.uint8
    assert {tuple(each.shape) for each in made} == {(1, *size, 1)}


@pytest.mark.parametrize(("head", "width"), [(SMALL, b"fpn_dim"), (ALL_MLP, b"head_dim")])
def test_a_file_that_asks_for_a_head_larger_than_itself_is_refused(
    head: SegmentationHead, width: bytes, tmp_path: Path
) -> None:
    segmenter(head).save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive, zipfile.ZipFile(tmp_path / "huge.keras", "w") as huge:
        for name in archive.namelist():
            data = archive.read(name)
            written = data.replace(b'"%b": 8' % width, b'"%b": 4096' % width) if name == "config.json" else data
            huge.writestr(name, written)
    with pytest.raises(ModelError, match=r"parameters, which its .* bytes cannot hold"):
        SwiftFormerForSemanticSegmentation.from_pretrained(tmp_path / "huge.keras")
