"""Export and verification where Keras runs on JAX: the converter, which takes TensorFlow alone, has its own process."""

import importlib.util
import json
import os

import pytest
from support.forks import Forks

if not importlib.util.find_spec("jax") and not os.environ.get("CI"):
    pytest.skip("needs the extra `jax`", allow_module_level=True)

# Layers of a user's, one in a module that another process can import, and one in a script.
MODULE = """
import keras


@keras.saving.register_keras_serializable("mine")
class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2 * x
"""
SCRIPT = """
import json
import sys
from pathlib import Path

import keras
from support.random_models import pictures, random_classifier

sys.path.insert(0, str(Path(__file__).parent))
import my_layers
import swiftformer_tf as sf

model = random_classifier(id2label={0: "a", 1: "b", 2: "c", 3: "d", 4: "e"})
images = pictures(24, 64, 64)
deploy = sf.fuse(model)
calibration = sf.calibrate(deploy, images)
files = {name: sf.export(deploy, sf.RECIPES[name], calibration=calibration) for name in ("float32", "int8")}
figures = {
    name: sf.verify(lite, reference=model, images=images).measured["snr_db"] for name, lite in files.items()
}


@keras.saving.register_keras_serializable("mine")
class Tripled(keras.layers.Layer):
    def call(self, x):
        return 3 * x


def exported(layer):
    head = keras.Model(model.input, layer(model.output))
    try:
        return len(sf.export(sf.fuse(head, config=model.config, tasks="features"), sf.RECIPES["float32"]).content)
    except sf.ExportError as error:
        return str(error)


said = exported(my_layers.Doubled()), exported(Tripled())
print(json.dumps({"backend": keras.backend.backend(), "snr": figures, "layers": said}))
"""


@pytest.fixture(scope="module")
def on_jax(tmp_path_factory: pytest.TempPathFactory, jax_forks: Forks) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("jax")
    (folder / "my_layers.py").write_text(MODULE)
    (folder / "run.py").write_text(SCRIPT)
    said = folder / "said"
    status = jax_forks.start("runpy:run_path", str(folder / "run.py"), None, "__main__", said=said)()
    assert status == 0, said.with_suffix(".err").read_text()[-2000:]
    result: dict[str, object] = json.loads(said.with_suffix(".out").read_text().splitlines()[-1])
    return result


def test_files_are_as_good_as_those_of_tensorflow(on_jax: dict[str, dict[str, float]]) -> None:
    """The limits are `verify`'s own; random weights do not let int8 reach its own."""
    assert on_jax["backend"] == "jax"
    assert on_jax["snr"]["float32"] > 80
    assert on_jax["snr"]["int8"] > 5


def test_layers_of_a_users_are_imported_from_their_module_or_named(on_jax: dict[str, list[object]]) -> None:
    size, message = on_jax["layers"]
    assert isinstance(size, int)
    assert size > 50_000
    assert isinstance(message, str)
    assert "the deploy graph cannot be loaded there: module '__main__' has no attribute 'Tripled'" in message
    assert "with KERAS_BACKEND=tensorflow it runs in this one" in message
    assert "\n" not in message
