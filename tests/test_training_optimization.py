"""Schedule, decay, clipping and losses."""

import keras
import numpy as np
import pytest
from keras import ops
from support.random_models import random_images, tiny_config

from swiftformer_tf import SwiftFormerForImageClassification
from swiftformer_tf.training import ClippedAdamW, TrainingRecipe, adamw, compile_for, learning_rate
from swiftformer_tf.training.optimization import hard_distillation, soft_distillation


def test_the_rate_rises_linearly_and_falls_as_a_cosine() -> None:
    recipe = TrainingRecipe(
        epochs=12, warmup_epochs=2, learning_rate=1e-2, warmup_learning_rate=1e-4, final_learning_rate=1e-3
    )
    rate = learning_rate(recipe, steps=10)
    expected = {0: 1e-4, 10: (1e-4 + 1e-2) / 2, 20: 1e-2, 70: (1e-2 + 1e-3) / 2, 120: 1e-3, 200: 1e-3}
    for step, value in expected.items():
        assert float(rate(step)) == pytest.approx(value, rel=1e-5)


def test_without_warmup_the_rate_starts_at_its_highest() -> None:
    rate = learning_rate(TrainingRecipe(warmup_epochs=0), steps=10)
    assert float(rate(0)) == pytest.approx(2e-3)


def test_only_kernels_decay() -> None:
    """A step with gradients of zero moves what decays, and nothing else."""
    model = SwiftFormerForImageClassification(tiny_config())
    for variable in model.trainable_variables:
        variable.assign(ops.ones(variable.shape))
    recipe = TrainingRecipe(warmup_epochs=0, learning_rate=0.1, weight_decay=0.5)
    optimizer = adamw(recipe, model, 10)
    optimizer.apply([ops.zeros(v.shape) for v in model.trainable_variables], model.trainable_variables)
    for variable in model.trainable_variables:
        decayed = np.all(ops.convert_to_numpy(variable) < 0.96)
        assert decayed == (variable.path.rpartition("/")[2] in ("kernel", "w_g")), variable.path


def test_adaptive_clipping_bounds_each_unit() -> None:
    """Read from the first moments, which are the clipped gradients where beta_1 is zero."""
    kernel = keras.Variable(np.ones((3, 3, 4, 5), np.float32))
    depthwise = keras.Variable(np.ones((3, 3, 4, 1), np.float32))
    vector = keras.Variable(np.zeros((4,), np.float32))
    optimizer = ClippedAdamW(0.1, adaptive_clip=0.01, beta_1=0.0, weight_decay=0.0)
    slopes = [np.random.default_rng(0).normal(size=v.shape).astype(np.float32) for v in (kernel, depthwise, vector)]
    slopes[0][..., 0] = 1e-6  # small enough to be left alone
    optimizer.apply([ops.convert_to_tensor(x) for x in slopes], [kernel, depthwise, vector])
    moments = {v.path.rpartition("_")[0]: ops.convert_to_numpy(v) for v in optimizer.variables if "momentum" in v.path}
    clipped = list(moments.values())
    np.testing.assert_allclose(np.linalg.norm(clipped[0].reshape(-1, 5), axis=0)[1:], 0.01 * 6, rtol=1e-4)
    np.testing.assert_allclose(clipped[0][..., 0], slopes[0][..., 0], rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(clipped[1].reshape(9, 4), axis=0), 0.01 * 3, rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(clipped[2]), 0.01 * 1e-3, rtol=1e-4)


def test_the_optimizer_survives_saving() -> None:
    optimizer = ClippedAdamW(0.1, adaptive_clip=0.02, weight_decay=0.3)
    again = ClippedAdamW.from_config(optimizer.get_config())
    assert (again.adaptive_clip, again.weight_decay) == (0.02, 0.3)


def test_hard_distillation_is_the_cross_entropy_with_the_decision() -> None:
    teacher, student = random_images(4, 5), random_images(4, 5, seed=1)
    rows = np.arange(4)
    expected = np.log(np.exp(student).sum(1)) - student[rows, teacher.argmax(1)]
    np.testing.assert_allclose(hard_distillation(ops.convert_to_tensor(teacher), student), expected, rtol=1e-5)


def test_soft_distillation_is_the_divergence_and_vanishes_for_equals() -> None:
    teacher, student = random_images(4, 5), random_images(4, 5, seed=1)
    p, q = (np.exp(x / 3) / np.exp(x / 3).sum(1, keepdims=True) for x in (teacher, student))
    loss = soft_distillation(3.0)
    assert float(loss(teacher, student)) == pytest.approx(9 * (p * np.log(p / q)).sum(1).mean(), rel=1e-4)
    assert float(loss(teacher, teacher)) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("weight", "outputs"), [(0.0, 2), (0.3, 3)])
def test_a_student_shares_every_layer_with_the_model(weight: float, outputs: int) -> None:
    model = SwiftFormerForImageClassification(tiny_config())
    student = compile_for(TrainingRecipe(teacher_head_weight=weight), model, 10, teacher_labels=7)
    image = random_images(2, 64, 64, 3)
    heads = student(image)
    assert [tuple(head.shape) for head in heads] == [(2, 10), (2, 10), (2, 7)][:outputs]
    np.testing.assert_allclose((heads[0] + heads[1]) / 2, model(image), atol=1e-6)
    own = {id(variable) for variable in student.trainable_variables}
    assert own >= {id(variable) for variable in model.trainable_variables}


def test_head_dist_alone_follows_the_teacher() -> None:
    """With all the weight on the teacher, `head` gets no gradient; with none, `head_dist`."""
    target = (np.eye(10, dtype=np.float32)[[1, 2]], random_images(2, 10), random_images(2, 7))
    for share, still in ((1.0, "head"), (0.0, "head_dist")):
        model = SwiftFormerForImageClassification(tiny_config())
        recipe = TrainingRecipe(batch_size=2, warmup_epochs=0, weight_decay=0.0, distillation_weight=share)
        student = compile_for(recipe, model, 10, teacher_labels=7)
        student.run_eagerly = True
        before = {name: model.get_layer(name).get_weights() for name in ("head", "head_dist")}
        student.train_on_batch(random_images(2, 64, 64, 3), list(target[:2]))
        moved = {
            name: max(
                np.abs(a - b).max() for a, b in zip(before[name], model.get_layer(name).get_weights(), strict=True)
            )
            for name in before
        }
        assert moved.pop(still) == 0
        assert min(moved.values()) > 0


@pytest.mark.parametrize("teacher_labels", [0, 7])
@pytest.mark.parametrize(("dtype", "scaled"), [("mixed_float16", True), ("mixed_bfloat16", False), ("float32", False)])
def test_the_loss_is_scaled_in_half_precision_alone(teacher_labels: int, dtype: str, scaled: bool) -> None:
    model = SwiftFormerForImageClassification(tiny_config(), dtype=dtype)
    optimizer = compile_for(TrainingRecipe(), model, 10, teacher_labels=teacher_labels).optimizer
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer) == scaled
