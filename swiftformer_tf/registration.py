"""Lets Keras find this package's classes by their names in saved files, in whichever order the two are imported.

Keras looks up the class in a saved file among those that are registered, and imports no modules but its own. Its
registry can be filled only after Keras has been imported, which `import swiftformer_tf` does not do. So it is filled at
the end of the import of Keras, with placeholders that import the module of a class when a file contains it. Importing
the modules themselves at that point would be a circular import if a module of this package is what imports Keras.
"""

import dataclasses
import importlib
import importlib.machinery
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from swiftformer_tf.native_logs import native_stderr_silenced

__all__ = ["PACKAGE", "SavedClasses", "register_with_keras"]

# Before the names of classes in saved files.
PACKAGE = "swiftformer_tf"


@dataclasses.dataclass(frozen=True)
class SavedClasses:
    """Names of the classes that a file saved by Keras may contain.

    Args:
        by_module: Names of classes by their module, without `PACKAGE`.
        models: Those that are models: HDF5 files name a whole model without its package.
    """

    by_module: Mapping[str, Sequence[str]]
    models: Sequence[str]


class _StandIn:
    """A placeholder for a class, with what deserialization needs."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def from_config(self, config: dict[str, Any]) -> Any:
        # Its decorator takes this one's place in the registry.
        return getattr(importlib.import_module(self._module), self._name).from_config(config)


class _KerasFinder:
    """Finds Keras as usual, and fills the registry at the end of its import."""

    def __init__(self, classes: SavedClasses) -> None:
        self._classes = classes

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "keras":
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        spec = next((found for finder in others if (found := finder.find_spec(fullname, path, target))), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _KerasLoader(spec.loader, self._classes)  # type: ignore[assignment]  # importing its base takes 40 ms
        return spec


class _KerasLoader:
    def __init__(self, loader: Any, classes: SavedClasses) -> None:
        self._loader, self._classes = loader, classes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)  # such as `get_data`, for who reads files of a package

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        with native_stderr_silenced():  # TensorFlow greets on import, and when it first looks for a GPU
            self._loader.exec_module(module)
            if module.config.backend() == "tensorflow":
                sys.modules["tensorflow"].config.list_physical_devices()
        _fill_registry(module, self._classes)


def register_with_keras(classes: SavedClasses) -> None:
    """Registers classes of this package with Keras: now, or as soon as Keras is imported."""
    keras = sys.modules.get("keras")
    if keras is None:
        sys.meta_path.insert(0, _KerasFinder(classes))
    else:
        _fill_registry(keras, classes)


def _fill_registry(keras: ModuleType, classes: SavedClasses) -> None:
    registry = keras.saving.get_custom_objects()
    for module, names in classes.by_module.items():
        for name in names:
            stand_in = _StandIn(f"{PACKAGE}.{module}", name)
            registry.setdefault(f"{PACKAGE}>{name}", stand_in)
            if name in classes.models:
                registry.setdefault(name, stand_in)
