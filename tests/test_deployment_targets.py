"""Files for a library of Android: `export --for`, `--labels`, `--license`, `--android`."""

from pathlib import Path

import pytest
from support.commands import run
from support.random_models import tiny_config

from swiftformer_tf import RECIPES, ConfigError, ExportError, LiteModel
from swiftformer_tf.deployment.targets import TARGETS
from swiftformer_tf.images.labels import read_labels


def test_a_file_for_mediapipe_with_labels_license_and_app(saved: Path, tmp_path: Path) -> None:
    names = [f"name {index}" for index in range(10)]
    (tmp_path / "names.txt").write_text("".join(f"{name}\n" for name in names))
    options = ("--for", "mediapipe", "--labels", tmp_path / "names.txt", "--license", "MIT")
    result = run("export", saved, "-o", tmp_path, "--recipe", "float32", *options, "--android", tmp_path / "app")
    assert result.exit_code == 0, result.output
    opened = LiteModel.open(tmp_path / "tiny_float32.tflite")
    assert (opened.include_preprocessing, opened.classifier_activation) == (True, "softmax")
    assert (opened.labels, opened.license) == (tuple(names), "MIT")
    assert (tmp_path / "app" / "assets" / "tiny_labels.txt").read_text().splitlines() == names
    assert (tmp_path / "app" / "assets" / "tiny_float32.tflite").read_bytes() == opened.content
    assert "License: MIT." in (tmp_path / "tiny_android.md").read_text()


def test_what_mediapipe_refuses_is_told_first(saved: Path, tmp_path: Path, folder: Path) -> None:
    options = ("--recipe", "int8", "--calibration", folder, "--for", "mediapipe", "--input-type", "int8")
    result = run("export", saved, "-o", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert result.stderr == "Error: recipe int8 for mediapipe: an int8 input: expected float32 or uint8\n"
    assert not (tmp_path / "out").exists()


def test_mediapipe_takes_bytes_but_no_int16() -> None:
    TARGETS["mediapipe"].check(RECIPES["int8"].replace(inference_input_type="uint8"))
    with pytest.raises(
        ExportError, match=r"^recipe int16x8 for mediapipe: an int16 output: expected float32 or uint8$"
    ):
        TARGETS["mediapipe"].check(RECIPES["int16x8"].replace(inference_output_type="int16"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a\nb\n", r"names\.txt: 2 labels for the 3 outputs of the model: expected one per line"),
        (b"a\n\nc\n", r"names\.txt, line 2: empty, expected a label"),
        (b"\xff\xfea", r"names\.txt: cannot be read as a list of labels"),
    ],
)
def test_labels_that_do_not_fit(text: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_bytes(text)
    with pytest.raises(ConfigError, match=message):
        read_labels(tmp_path / "names.txt", 3)
    with pytest.raises(ConfigError, match=r"cannot be read as a list of labels"):
        read_labels(tmp_path / "no.txt", 3)


def test_labels_of_windows_and_of_other_languages(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_bytes("cat\r\n猫\r\n".encode())
    assert read_labels(tmp_path / "names.txt", 2) == ("cat", "猫")


def test_a_model_of_other_channels_is_refused_before_any_work() -> None:
    """The case `16_four_channels_mediapipe` of the public reports."""
    said = "num_channels={} for mediapipe: .* takes only 3; export without `target='mediapipe'`"
    for channels in (1, 4):
        with pytest.raises(ExportError, match=said.format(channels)):
            TARGETS["mediapipe"].fuse_options(tiny_config(num_channels=channels))


def test_probabilities_follow_the_problem_type() -> None:
    found = [
        TARGETS["mediapipe"].fuse_options(tiny_config(problem_type=kind))["classifier_activation"]
        for kind in (None, "multi_label_classification", "regression")
    ]
    assert found == ["softmax", "sigmoid", None]
