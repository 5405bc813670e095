"""How each source of weights names its tensors; timm's names are the canonical ones.

A scheme is two tables of synonyms. One is for the front of a key, where the module stands: original and Hugging
Face count stages and downsamplings through as `network.N`, so that this table follows from the keys at hand. The
other is for words further back. Read from left to right they lead from canonical to the scheme's names, read
from right to left back again; a key that does not survive the way there and back belongs to no scheme.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from swiftformer_tf.config import TokenWeights
from swiftformer_tf.errors import CheckpointError
from swiftformer_tf.images.transform import TRANSFORMS, Transform

__all__ = ["SCHEMES", "Scheme", "SchemeName", "from_canonical", "recognize", "strip", "to_canonical"]

SchemeName = Literal["original", "hf", "timm"]

# Put before every key by DistributedDataParallel and by torch.compile.
WRAPPERS = ("module.", "_orig_mod.")

COUNTER = ".num_batches_tracked"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scheme:
    """One row of `SCHEMES`.

    Args:
        stem: What canonical `stem` is called.
        network: What the numbered list of stages and downsamplings is called; None where they have names.
        blocks: What stands between the number of a stage and that of its block.
        words: Canonical names inside a module, and the scheme's.
        token_weights: The arithmetic of the code that reads this scheme; None where there are two.
        transform: Its evaluation transform.
        marks: A key that starts with one of these is of this scheme.
        two_heads: Whether its model always has a second head.
        all_layer_scales: Whether its `use_layer_scale` is about all layer scales, not those of the Encoder only.
    """

    stem: str
    network: str | None
    blocks: str
    words: Mapping[str, str]
    token_weights: TokenWeights | None
    transform: Transform
    marks: tuple[str, ...]
    two_heads: bool
    all_layer_scales: bool


_GAMMAS = {f"{name}.gamma": name for name in ("layer_scale", "layer_scale_1", "layer_scale_2")}

SCHEMES: dict[SchemeName, Scheme] = {
    "original": Scheme(
        stem="patch_embed",
        network="network",
        blocks="",
        words={"attn.proj": "attn.Proj", "head_dist": "dist_head", **_GAMMAS},
        token_weights=None,
        transform=TRANSFORMS["original"],
        marks=("network.", "patch_embed.0."),
        two_heads=False,
        all_layer_scales=False,
    ),
    "hf": Scheme(
        stem="swiftformer.patch_embed.patch_embedding",
        network="swiftformer.encoder.network",
        blocks=".blocks",
        words={
            "dwconv": "depth_wise_conv",
            "pwconv1": "point_wise_conv1",
            "pwconv2": "point_wise_conv2",
            "head_dist": "dist_head",
            **_GAMMAS,
        },
        token_weights="uniform",
        transform=TRANSFORMS["hf"],
        marks=("swiftformer.", "encoder.network.", "patch_embed.patch_embedding."),
        two_heads=True,
        all_layer_scales=False,
    ),
    "timm": Scheme(
        stem="stem",
        network=None,
        blocks="",
        words={},
        token_weights="l2",
        transform=TRANSFORMS["timm"],
        marks=("stem.", "stages."),
        two_heads=True,
        all_layer_scales=True,
    ),
}

# Hugging Face's model without a head leaves this out.
_HF_BASE = "swiftformer."
_HF_BARE = ("encoder.", "patch_embed.")

# Stands at the end of a key in every SwiftFormer, and in nothing else that has stages and a stem.
_SIGNATURE = ".attn.w_g"


def strip(keys: Iterable[str]) -> dict[str, str]:
    """Keys without counters and without what training wrappers put before them.

    Args:
        keys: As in the file.

    Returns:
        The key in the file, and the key that it stands for.

    Raises:
        CheckpointError: Two keys stand for one.

    Example:
        >>> strip(["module.norm.weight", "module.norm.num_batches_tracked"])
        {'module.norm.weight': 'norm.weight'}
    """
    return _without_collisions({key: _unwrapped(key) for key in keys if not key.endswith(COUNTER)})


def _unwrapped(key: str) -> str:
    while wrapper := next((w for w in WRAPPERS if key.startswith(w)), None):
        key = key.removeprefix(wrapper)
    return key


def recognize(keys: Iterable[str]) -> SchemeName:
    """Whose names these are.

    Args:
        keys: As `strip` returns them.

    Raises:
        CheckpointError: Not those of a SwiftFormer, or of one made for detection.

    Example:
        >>> recognize(["patch_embed.0.weight", "network.0.2.attn.w_g"])
        'original'
    """
    keys = list(keys)
    forks = sorted({match[1] for key in keys if (match := re.match(r"(?:backbone\.)?(norm\d+)\.", key))})
    if forks:
        raise CheckpointError(
            f"a backbone for detection or segmentation: it has {', '.join(forks)} after its stages and no classifier; "
            "expected the classification weights that it was made from"
        )
    found: list[SchemeName] = [
        name for name in get_args(SchemeName) if any(key.startswith(SCHEMES[name].marks) for key in keys)
    ]
    if not found or not any(key.endswith(_SIGNATURE) for key in keys):
        shown = ", ".join(sorted(keys)[:3]) or "none"
        raise CheckpointError(
            f"not a SwiftFormer: expected keys that end in {_SIGNATURE[1:]} beside those of a stem, found {len(keys)} "
            f"keys ({shown}, ...)"
        )
    # Where names of two schemes are mixed, the keys of the one with fewer will be unexpected.
    return max(found, key=lambda name: sum(key.startswith(SCHEMES[name].marks) for key in keys))


def to_canonical(keys: Iterable[str], scheme: SchemeName) -> dict[str, str]:
    """What each key of a scheme is called in timm's.

    Args:
        keys: As `strip` returns them.
        scheme: Whose names they are.

    Returns:
        Canonical name by the scheme's.

    Raises:
        CheckpointError: A key that the scheme does not have, two for one tensor, or a gap in `network`.

    Example:
        >>> to_canonical(["network.0.0.attn.Proj.bias"], "original")
        {'network.0.0.attn.Proj.bias': 'stages.0.blocks.0.attn.proj.bias'}
    """
    keys = list(keys)
    row = SCHEMES[scheme]
    full = {key: _HF_BASE + key if scheme == "hf" and key.startswith(_HF_BARE) else key for key in keys}
    fronts = _fronts_of_network(row, full.values())
    back = {theirs: ours for ours, theirs in fronts.items()}
    words_back = {theirs: ours for ours, theirs in row.words.items()}
    names = {key: _rename(full[key], back, words_back) for key in keys}
    unexpected = [key for key in keys if _rename(names[key], fronts, row.words) != full[key]]
    if unexpected:
        raise CheckpointError(f"unexpected in the {scheme} scheme ({len(unexpected)}): {shorten(unexpected)}")
    return _without_collisions(names)


def from_canonical(keys: Iterable[str], scheme: SchemeName) -> dict[str, str]:
    """What each canonical key is called in a scheme; the inverse of `to_canonical`.

    Args:
        keys: All of a model's canonical keys, since they decide how `network` is numbered.
        scheme: Whose names to give.

    Returns:
        The scheme's name by the canonical one.

    Example:
        >>> names = from_canonical(["stages.0.blocks.0.dwconv.bias", "stages.1.downsample.norm.bias"], "original")
        >>> list(names.values())
        ['network.0.0.dwconv.bias', 'network.1.norm.bias']
    """
    keys = list(keys)
    row = SCHEMES[scheme]
    modules = {(int(m[1]), m[2]) for key in keys if (m := re.match(r"stages\.(\d+)\.(blocks|downsample)\.", key))}
    # A stage's downsampling stands before its blocks.
    order = sorted(modules, key=lambda module: (module[0], module[1] == "blocks"))
    fronts = _fronts(row, [f"stages.{stage}.{kind}" for stage, kind in order])
    return {key: _rename(key, fronts, row.words) for key in keys}


def shorten(names: Iterable[str], limit: int = 8) -> str:
    """The first few names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _fronts(row: Scheme, modules: Iterable[str]) -> dict[str, str]:
    """The scheme's names of the stem and of these canonical modules."""
    if row.network is None:
        return {}
    network = {
        module: f"{row.network}.{number}{row.blocks if module.endswith('blocks') else ''}"
        for number, module in enumerate(modules)
    }
    return {"stem": row.stem, **network}


def _fronts_of_network(row: Scheme, keys: Iterable[str]) -> dict[str, str]:
    """The same from the scheme's keys: a number is a downsampling or a stage by what it holds."""
    if row.network is None:
        return {}
    holds: dict[int, set[str]] = {}
    for key in keys:
        if match := re.match(re.escape(row.network) + r"\.(\d{1,6})\.(\w+)", key):
            holds.setdefault(int(match[1]), set()).add(match[2])
    if gaps := sorted(set(range(max(holds, default=-1) + 1)) - set(holds)):
        raise CheckpointError(f"missing: {row.network}.{gaps[0]}, since {row.network} goes on to {max(holds)}")
    modules, stage = [], 0
    for number in sorted(holds):
        if holds[number] & {"proj", "norm"}:
            modules.append(f"stages.{stage}.downsample")
        else:
            modules.append(f"stages.{stage}.blocks")
            stage += 1
    return _fronts(row, modules)


def _rename(key: str, fronts: Mapping[str, str], words: Mapping[str, str]) -> str:
    # Whole words only: dots on both sides of what is looked for.
    name = f".{key}."
    front = next((old for old in fronts if name.startswith(f".{old}.")), None)
    if front is not None:
        name = f".{fronts[front]}.{name.removeprefix(f'.{front}.')}"
    for old, new in words.items():
        name = name.replace(f".{old}.", f".{new}.")
    return name[1:-1]


def _without_collisions(names: dict[str, str]) -> dict[str, str]:
    owners: dict[str, str] = {}
    for key, name in names.items():
        if name in owners:
            raise CheckpointError(f"{owners[name]} and {key} stand for the same tensor, {name}")
        owners[name] = key
    return names
