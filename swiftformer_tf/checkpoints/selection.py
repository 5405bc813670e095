"""Finds the tensors of a SwiftFormer in a file, and chooses among several sets.

Training scripts store weights under arbitrary names and nest models in models, so a mapping is recognized by its
content, whatever prefix all of its keys have.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from swiftformer_tf.checkpoints import key_layouts
from swiftformer_tf.checkpoints.container import Container, StateDict
from swiftformer_tf.checkpoints.key_layouts import KEY_LAYOUTS, KeyLayoutName
from swiftformer_tf.errors import CheckpointError, number_of
from swiftformer_tf.segmentation_heads import FEATURE_NORM

__all__ = ["Weights", "choose", "find"]

# Beginnings of what follows the last stage in mmsegmentation's models, and of the backbone itself.
SEGMENTER = (FEATURE_NORM, "neck.", "decode_head.")
BACKBONE = "backbone."

# Beginnings of keys of SwiftFormers: integers under others are what metrics have counted.
OWN = (*(mark for row in KEY_LAYOUTS.values() for mark in row.marks), "norm.", "head.", "head_dist.", "dist_head.")

# Words in the names of losses, which come into the state dict of a Lightning module with the weights of classes.
LOSSES = {"criterion", "criterions", "loss", "losses"}

# Tensors that replace others, by the end of their keys: what creates them, and what restores the others.
REPLACED = {
    r"\.parametrizations\.\w+\.\w+$": "torch.nn.utils.parametrize; with PyTorch, "
    "torch.nn.utils.parametrize.remove_parametrizations(module, 'weight') for each such module",
    r"\.weight_[gv]$": "torch.nn.utils.weight_norm or spectral_norm; with PyTorch, "
    "torch.nn.utils.remove_weight_norm(module), or remove_spectral_norm, for each such module",
    r"\.(weight|bias)_(orig|mask)$": "torch.nn.utils.prune; with PyTorch, "
    "torch.nn.utils.prune.remove(module, 'weight') for each such module",
    r"\.lora_[AB](\.\w+)?\.weight$": "LoRA; with PEFT, model = model.merge_and_unload()",
}


class Weights(NamedTuple):
    """The weights of one model in a file.

    Args:
        name: Name of the weights in the file, with dots between levels; `""` if the file contains nothing else.
        key_layout: Key layout of the weights.
        keys: Keys of the key layout by the file's keys.
        prefix: Common prefix in the file, which is not part of the key layout.
        wrappers: Parts added by PyTorch's wrappers, which are removed as well.
        passed_over: Other entries, which are not weights.
        segmenter: Keys of the tensors of a segmentation head, if there is one, by the file's keys.
        shapes: Shapes by the file's keys.
        read: Function that reads tensors by the file's keys.
    """

    name: str
    key_layout: KeyLayoutName
    keys: Mapping[str, str]
    prefix: str
    wrappers: tuple[str, ...]
    passed_over: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[Iterable[str]], dict[str, np.ndarray]]
    segmenter: Mapping[str, str]

    def __str__(self) -> str:
        labels = next((self.shapes[key][0] for key, name in self.keys.items() if name == "head.weight"), 0)
        return f"{self.name!r} ({len(self.keys)} tensors in the {self.key_layout} layout, {number_of(labels, 'label')})"


def find(container: Container) -> list[Weights]:
    """Finds the weights of all SwiftFormers in a file, in the file's order.

    Raises:
        CheckpointError: There are none; or there are further tensors that belong to something else.
    """
    return [weights for name, state in container.state_dicts.items() for weights in _in_mapping(name, state)]


def _in_mapping(name: str, state: StateDict) -> list[Weights]:
    plain = {key: key_layouts.unwrapped(key) for key in [*state.shapes, *state.others]}
    prefixes = [prefix for key in plain.values() if (prefix := key_layouts.prefix_of(key)) is not None]
    if not prefixes:
        # No SwiftFormer's; what is broken in it is said first.
        state.read(state.shapes)
        for key, kind in state.others.items():
            raise CheckpointError(f"{key}: {kind}")
    _refuse_replaced(state.shapes)
    owned: dict[str, dict[str, str]] = {prefix: {} for prefix in prefixes or [""]}
    beside = []
    for key, unwrapped in plain.items():
        # The longest: a model without a prefix has all keys below it.
        owner = max((prefix for prefix in owned if unwrapped.startswith(prefix)), key=len, default=None)
        if owner is None or _no_weight(key, unwrapped.removeprefix(owner), state):
            beside.append(key)
        else:
            owned[owner][key] = unwrapped.removeprefix(owner)
    segmenter = _segmenter(owned, {key: plain[key] for key in beside if key in state.shapes})
    owned = {
        prefix: {key: name for key, name in keys.items() if key not in segmenter} for prefix, keys in owned.items()
    }
    beside = [key for key in beside if key not in segmenter]
    strangers = [key for key in beside if key in state.shapes and key not in state.counters | state.integers]
    if strangers := [key for key in strangers if not _is_loss(plain[key])]:
        raise CheckpointError(
            f"holds a SwiftFormer under {' and '.join(map(repr, owned))} next to tensors of another module "
            f"({len(strangers)}): {key_layouts.shorten(strangers)}; with PyTorch, save the state dict of the "
            f"SwiftFormer alone: torch.save({_submodule(next(iter(owned)))}.state_dict(), new_path)"
        )
    for keys in owned.values():
        if wrong := [key for key in keys if key in state.others]:
            raise CheckpointError(f"{wrong[0]}: {state.others[wrong[0]]}")
    several = len(owned) > 1
    return [
        _weights(
            ".".join(filter(None, (name, prefix.rstrip(".") if several else ""))),
            prefix,
            keys,
            beside,
            state,
            segmenter,
        )
        for prefix, keys in owned.items()
    ]


def _refuse_replaced(keys: Iterable[str]) -> None:
    """Rejects tensors from which the weights of the layers would first have to be computed."""
    for key in keys:
        for end, made_by in REPLACED.items():
            if re.search(end, key):
                raise CheckpointError(
                    f"{key}: not a plain weight, but one made by {made_by}, then torch.save(model.state_dict(), "
                    "new_path)"
                )


def _submodule(prefix: str) -> str:
    """The part of a PyTorch model with these keys, as Python code; the parts of a Sequential are numbered."""
    name = prefix.rstrip(".")
    return f"model.{name}" if all(map(str.isidentifier, name.split("."))) else f"model.get_submodule({name!r})"


def _segmenter(owned: Mapping[str, Mapping[str, str]], beside: Mapping[str, str]) -> dict[str, str]:
    """Tensors of mmsegmentation's neck and head that belong to one backbone, under mmsegmentation's names.

    The normalizations before the neck, which mmsegmentation counts among the backbone, belong to them.
    """
    prefix, *others = owned
    if others or not prefix.endswith(BACKBONE):
        return {}
    before = prefix.removesuffix(BACKBONE)
    names = {key: name.removeprefix(before) for key, name in beside.items() if name.startswith(before)}
    head = {
        key: name
        for key, name in names.items()
        if name.startswith(SEGMENTER) and not name.endswith(key_layouts.COUNTER)
    }
    # Without a head they are a detector's or a bare backbone's, which is refused.
    norms = {key: BACKBONE + name for key, name in owned[prefix].items() if head and re.match(r"norm\d", name)}
    return norms | head


def _weights(
    name: str, prefix: str, keys: dict[str, str], beside: list[str], state: StateDict, segmenter: Mapping[str, str]
) -> Weights:
    key_layout = key_layouts.recognize(keys.values(), prefix)
    own = KEY_LAYOUTS[key_layout].prefix
    # A prefix that is the layout's own is none that needs to be told.
    told = prefix.removesuffix(BACKBONE) if segmenter else prefix.removesuffix(own) if own else prefix
    counted = tuple(key for key in beside if not key.endswith(key_layouts.COUNTER))
    wrappers = tuple(word for word in key_layouts.WRAPPERS if any(word in key.split(".") for key in keys))
    stripped = key_layouts.strip(keys)
    return Weights(name, key_layout, stripped, told, wrappers, counted, state.shapes, state.read, segmenter)


def _no_weight(key: str, plain: str, state: StateDict) -> bool:
    """Whether an entry is not a weight: the state of counters, losses and metrics, or a value that is not a tensor."""
    if key in state.counters or _is_loss(plain) or (key in state.integers and not plain.startswith(OWN)):
        return True
    return key in state.others and ("." not in plain or plain.endswith("._extra_state"))


def _is_loss(key: str) -> bool:
    return key.endswith(".pos_weight") or not LOSSES.isdisjoint(re.split(r"[._]", key.rpartition(".")[0].lower()))


def choose(found: list[Weights], name: str | None) -> Weights:
    """Chooses the requested weights, or else those that the reference implementation of their layout uses.

    Args:
        found: All weights, as returned by `find`.
        name: The full name, its last part, or a word that occurs in only one of the names, such as `"ema"`.

    Raises:
        CheckpointError: No weights or several match the name; or there are several, and none is preferred.
    """
    if name is not None:
        for matches in (lambda w: w.name == name, lambda w: _last(w) == name, lambda w: name in _words(w)):
            if len(fitting := [weights for weights in found if matches(weights)]) == 1:
                return fitting[0]
        raise CheckpointError(f"weights={name!r}: expected the name of one of {_listed(found)}")
    if len(found) == 1:
        return found[0]
    for container in KEY_LAYOUTS[found[0].key_layout].containers:
        if len(fitting := [weights for weights in found if _last(weights) == container]) == 1:
            return fitting[0]
    raise CheckpointError(f"holds several weights: {_listed(found)}; choose one, such as `weights={found[0].name!r}`")


def _last(weights: Weights) -> str:
    return weights.name.rpartition(".")[2]


def _words(weights: Weights) -> list[str]:
    return re.split(r"[._]", weights.name)


def _listed(found: list[Weights]) -> str:
    return ", ".join(map(str, found))
