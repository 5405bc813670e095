"""Which release an original file is from, shown by outputs of the original repository's own code.

`golden/original_tiny.pth` is a training file that the code of Amshaker/SwiftFormer wrote, and
`golden/original_tiny.npz` has the averaged logits of that code: commit 4aa6cd6 (`l2`) and its first release, commit
574907f (`uniform`). The owner of this project ran both on 29 November 2026 with PyTorch 2.13, outside of it, on random
weights.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import run
from support.weight_files import GOLDEN

from swiftformer_tf import Checkpoint, checking, port
from swiftformer_tf.checking import Expected, Fit, fit_token_weights, fitted
from swiftformer_tf.errors import CheckpointError

ORIGINAL = GOLDEN / "original_tiny.pth"


@pytest.fixture(scope="module")
def outputs() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "original_tiny.npz") as file:
        return dict(file)


@pytest.mark.parametrize("size", ["64x64", "63x85"])
@pytest.mark.parametrize("token_weights", ["l2", "uniform"])
def test_the_original_codes_own_file_gives_its_own_logits(
    token_weights: Any, size: str, outputs: dict[str, np.ndarray]
) -> None:
    checkpoint = Checkpoint.open(ORIGINAL, token_weights=token_weights)
    assert (checkpoint.key_layout, checkpoint.config.depths, checkpoint.config.num_labels) == (
        "original",
        (2, 1, 2, 1),
        7,
    )
    wanted = outputs[f"{token_weights}_{size}"]
    logits = port(checkpoint).model.predict(outputs[f"pixels_{size}"], verbose=0)
    assert np.abs(logits - wanted).max() <= 1e-5 * np.abs(wanted).max()
    other = outputs[f"{'uniform' if token_weights == 'l2' else 'l2'}_{size}"]
    assert np.abs(logits - other).max() > 0.1 * np.abs(other).max()


def known(fit: Fit, checkpoint: Checkpoint, expected: Expected) -> Callable[[Checkpoint, Expected], Fit]:
    """`fit_token_weights` for these arguments alone, of which it has been found already."""

    def found(given: Checkpoint, outputs: Expected) -> Fit:
        assert given is checkpoint
        assert outputs is expected
        return fit

    return found


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("token_weights", ["l2", "uniform"])
def test_outputs_tell_the_attention_type(
    token_weights: Any, layout: str, outputs: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = outputs["pixels_63x85"]
    expected = Expected(pixels.transpose(0, 3, 1, 2) if layout == "NCHW" else pixels, outputs[f"{token_weights}_63x85"])
    checkpoint = Checkpoint.open(ORIGINAL)
    assert checkpoint.token_weights_assumed
    changed, fit = fitted(checkpoint, expected)
    assert fit.token_weights == changed.token_weights == token_weights
    assert not changed.token_weights_assumed
    other: Any = "uniform" if token_weights == "l2" else "l2"
    assert fit.differences[token_weights] < 1e-5 < 0.1 < fit.differences[other]
    assert str(fit).endswith(f"; {token_weights} fits")
    monkeypatch.setattr(checking, "fit_token_weights", known(fit, checkpoint, expected))
    with pytest.raises(CheckpointError, match=f"not the outputs of token_weights='{other}'; largest difference"):
        fitted(checkpoint, expected, token_weights=other)


def test_outputs_of_something_else_fit_neither(outputs: dict[str, np.ndarray]) -> None:
    expected = Expected(outputs["pixels_64x64"], outputs["l2_64x64"] * 1.01)
    with pytest.raises(CheckpointError, match=r"not the outputs of these weights; .*; neither fits within 0.001"):
        fitted(Checkpoint.open(ORIGINAL), expected)


def test_outputs_that_do_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """At default initialization both are the same within 5e-4 of the logits, or nearer."""
    checkpoint = Checkpoint.open(ORIGINAL)
    tensors = {key: x * (1e-7 if "layer_scale_" in key else 1) for key, x in checkpoint.tensors.items()}
    hidden = Checkpoint(tensors=tensors, config=checkpoint.config, key_layout="original")
    pixels = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype("float32")
    expected = Expected(pixels, port(hidden).model.predict(pixels, verbose=0))
    fit = fit_token_weights(hidden, expected)
    assert fit.token_weights is None
    assert "both fit, so these outputs do not tell them apart" in str(fit)
    monkeypatch.setattr(checking, "fit_token_weights", known(fit, hidden, expected))
    assert fitted(hidden, expected)[0] is hidden


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": np.zeros((2, 64, 64, 4))}, r"pixels are \(2, 64, 64, 4\), expected \(N, height, width, 3\) or"),
        ({"pixels": np.zeros((64, 64, 3))}, r"pixels are \(64, 64, 3\), expected"),
        (
            {"logits": np.zeros((2, 5))},
            r"logits are \(2, 5\), expected \(2, 7\), one row per image; for two heads, the",
        ),
        ({"logits": np.zeros((2, 7))}, "expected finite numbers, and logits that are not all 0"),
        ({"logits": np.full((2, 7), np.nan)}, "expected finite numbers"),
    ],
)
def test_arrays_that_do_not_belong_together(
    change: dict[str, np.ndarray], message: str, outputs: dict[str, np.ndarray]
) -> None:
    arrays: dict[str, Any] = {"pixels": outputs["pixels_64x64"], "logits": outputs["l2_64x64"], **change}
    with pytest.raises(CheckpointError, match=message):
        fit_token_weights(Checkpoint.open(ORIGINAL), Expected(**arrays))


def test_files_that_are_no_outputs(tmp_path: Path) -> None:
    for name, content in (("a.npz", b""), ("b.npz", b"PK\x03\x04abc"), ("c.npz", b"\x80\x02N.")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=f"{name}: .*expected an .npz file of numpy.savez"):
            Expected.open(tmp_path / name)
    np.savez(tmp_path / "d.npz", x=np.zeros(2))
    with pytest.raises(
        CheckpointError, match=r"d.npz: has no array pixels, found x; write it with numpy.savez\(path, pixels=pixels"
    ):
        Expected.open(tmp_path / "d.npz")
    np.savez(tmp_path / "e.npz", pixels=np.zeros(2), logits=np.array(["1", "2"]))
    with pytest.raises(CheckpointError, match=r"e.npz: logits is not an array of real numbers; save it as float32"):
        Expected.open(tmp_path / "e.npz")
    with zipfile.ZipFile(tmp_path / "f.npz", "w") as archive:
        archive.writestr("pixels.npy", b"no array")
        archive.writestr("logits.npy", b"no array")
    with pytest.raises(CheckpointError, match=r"f.npz: pixels is not an array of real numbers"):
        Expected.open(tmp_path / "f.npz")


def test_the_command_takes_what_fits(tmp_path: Path, outputs: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "out.npz", pixels=outputs["pixels_64x64"], logits=outputs["uniform_64x64"])
    command = ["port", str(ORIGINAL), "-o", str(tmp_path / "a.safetensors"), "--to", "original", "--expected"]
    command.append(str(tmp_path / "out.npz"))
    said = run(*command)
    assert said.exit_code == 0, said.output
    assert "uniform fits" in said.stderr
    assert "token weights: uniform\n" in said.stderr
    assert Checkpoint.open(tmp_path / "a.safetensors").token_weights == "uniform"
    command[3] = str(tmp_path / "b.safetensors")
    refused = run(*command, "--token-weights", "l2")
    assert refused.exit_code == 2
    assert "not the outputs of --token-weights l2; largest difference" in refused.output
    assert not (tmp_path / "b.safetensors").exists()
