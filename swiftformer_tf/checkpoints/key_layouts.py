"""The names that each source of weights uses for its tensors; timm's names are the canonical ones.

A key layout is two tables of synonyms. One is for the front of a key, which names the module: the original repository
and Hugging Face number stages and downsamplings consecutively as `network.N`, so that this table depends on the keys.
The other is for words further back. From left to right, the tables map canonical names to those of the key layout; from
right to left, back again. A key that does not survive the round trip belongs to no key layout.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from swiftformer_tf.config import TokenWeights
from swiftformer_tf.errors import CheckpointError
from swiftformer_tf.images.transform import TRANSFORMS, Transform

__all__ = [
    "KEY_LAYOUTS",
    "SIGNATURE",
    "WRAPPERS",
    "KeyLayout",
    "KeyLayoutName",
    "from_canonical",
    "prefix_of",
    "recognize",
    "shorten",
    "strip",
    "to_canonical",
    "unwrapped",
]

KeyLayoutName = Literal["original", "hf", "timm", "timm_wrapper"]

# Inserted anywhere in a key by torch.compile, FullyShardedDataParallel and activation checkpointing.
WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_fpw_module", "_checkpoint_wrapped_module")

COUNTER = ".num_batches_tracked"


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeyLayout:
    """An entry of `KEY_LAYOUTS`.

    Args:
        stem: Name of the canonical `stem`.
        network: Name of the numbered list of stages and downsamplings; None if they have names of their own.
        blocks: The part between the number of a stage and that of its block.
        words: Canonical names inside a module, and those of the key layout.
        token_weights: The attention type of the code that uses this key layout; None if there are two.
        transform: The evaluation transform of that code.
        marks: A key that starts with one of these belongs to this key layout.
        two_heads: Whether the model always has a second head.
        containers: Where the reference implementation looks for weights in a training checkpoint, in order of
            preference.
        prefix: The prefix that the library adds to every key.
        all_layer_scales: Whether `use_layer_scale` applies to all layer scales, not only those of the `Encoder`.
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
    containers: tuple[str, ...]
    prefix: str = ""


_GAMMAS = {f"{name}.gamma": name for name in ("layer_scale", "layer_scale_1", "layer_scale_2")}

# The original's evaluation reads "model"; the averaged weights only if there is nothing else.
_ORIGINAL_CONTAINERS = ("model", "state_dict", "model_ema", "state_dict_ema")
# timm's `load_checkpoint` reads the averaged weights if there are any.
_TIMM_CONTAINERS = ("state_dict_ema", "model_ema", "state_dict", "module", "model_state", "model")

_TIMM = KeyLayout(
    stem="stem",
    network=None,
    blocks="",
    words={},
    token_weights="l2",
    transform=TRANSFORMS["timm"],
    marks=("stem.", "stages.", "stem_", "stages_"),
    two_heads=True,
    all_layer_scales=True,
    containers=_TIMM_CONTAINERS,
)

KEY_LAYOUTS: dict[KeyLayoutName, KeyLayout] = {
    "original": KeyLayout(
        stem="patch_embed",
        network="network",
        blocks="",
        words={"attn.proj": "attn.Proj", "head_dist": "dist_head", **_GAMMAS},
        token_weights=None,
        transform=TRANSFORMS["original"],
        marks=("network.", "patch_embed.0."),
        two_heads=False,
        all_layer_scales=False,
        containers=_ORIGINAL_CONTAINERS,
    ),
    "hf": KeyLayout(
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
        containers=_ORIGINAL_CONTAINERS,
    ),
    "timm": _TIMM,
    # transformers' TimmWrapper models: timm's, as an attribute.
    "timm_wrapper": dataclasses.replace(_TIMM, prefix="timm_model."),
}

# Hugging Face's model without a head leaves this out.
_HF_BASE = "swiftformer."
_HF_BARE = ("encoder.", "patch_embed.")

# Stands at the end of a key in every SwiftFormer, and in nothing else that has stages and a stem.
SIGNATURE = ".attn.w_g"


# A key with the signature, up to where the key layout's own names begin.
_PREFIXED = re.compile(
    r"((?:[^.]+\.)*?)"
    r"(?:stages[._]\d+\.blocks\.|(?:swiftformer\.)?encoder\.network\.\d+\.blocks\.|network\.\d+\.)\d+\.attn\.w_g"
)


def prefix_of(key: str) -> str | None:
    """Returns the prefix of a key that ends in `.attn.w_g`, before the names of its key layout; None for any other key.

    Args:
        key: A key, as returned by `unwrapped`.

    Examples:
        >>> prefix_of("model.backbone.network.0.2.attn.w_g"), prefix_of("stages.0.blocks.2.attn.w_g")
        ('model.backbone.', '')
    """
    match = _PREFIXED.fullmatch(key)
    return match[1] if match else None


def unwrapped(key: str) -> str:
    """Removes the parts that `WRAPPERS` added to a key.

    Examples:
        >>> unwrapped("_fsdp_wrapped_module.stages.0._fsdp_wrapped_module.blocks.0.norm.weight")
        'stages.0.blocks.0.norm.weight'
    """
    return ".".join(word for word in key.split(".") if word not in WRAPPERS)


def strip(keys: Mapping[str, str]) -> dict[str, str]:
    """Removes counters from keys, and restores the names of the layout's complete model.

    timm's `features_only` models join numbers to the preceding word, and users wrap a head of one linear layer in a
    `Sequential`; both are reverted.

    Args:
        keys: By the key in the file, the key without wrappers and prefix.

    Raises:
        CheckpointError: Two keys stand for the same tensor, or a head has several layers.

    Examples:
        >>> strip({"module.head.1.bias": "head.1.bias", "module.norm.num_batches_tracked": "norm.num_batches_tracked"})
        {'module.head.1.bias': 'head.bias'}
    """
    plain = {
        file: re.sub(r"^(stem|stages)_(\d+)\.", r"\1.\2.", key)
        for file, key in keys.items()
        if not key.endswith(COUNTER)
    }
    for head in ("head", "head_dist", "dist_head"):
        plain = _one_linear(plain, head)
    return _without_collisions(plain)


def _one_linear(plain: dict[str, str], head: str) -> dict[str, str]:
    """Renames the only linear layer within a head to the head itself."""
    within = {file: key for file, key in plain.items() if re.match(rf"{head}\.\w+\..", key)}
    if not within or f"{head}.weight" in plain.values():
        return plain
    layers = sorted({key.rpartition(".")[0] for key in within.values()})
    if len(layers) > 1 or not all(key.endswith((".weight", ".bias")) for key in within.values()):
        raise CheckpointError(
            f"{head} has {len(layers)} layers ({shorten(layers)}), expected a linear one; with PyTorch, model.{head} = "
            "torch.nn.Identity() for each head before torch.save(model.state_dict(), new_path) makes a file whose "
            "features are read, for a head of your own in Keras"
        )
    return plain | {file: f"{head}.{key.rpartition('.')[2]}" for file, key in within.items()}


def recognize(keys: Iterable[str], prefix: str = "") -> KeyLayoutName:
    """Recognizes the key layout of keys.

    Args:
        keys: Keys without their common prefix.
        prefix: The common prefix that was removed.

    Raises:
        CheckpointError: The keys are not those of a SwiftFormer, or are those of one for detection.

    Examples:
        >>> recognize(["patch_embed.0.weight", "network.0.2.attn.w_g"])
        'original'
    """
    keys = list(keys)
    forks = sorted({match[1] for key in keys if (match := re.match(r"(?:backbone\.)?(norm\d+)\.", key))})
    if forks:
        raise CheckpointError(
            f"a backbone for detection or segmentation: it has {', '.join(forks)} after its stages, and neither a "
            "classifier nor a segmenter's decode_head; expected the classification weights that it was made from, or "
            "the whole segmenter"
        )
    found: list[KeyLayoutName] = [
        name
        for name in get_args(KeyLayoutName)
        if not KEY_LAYOUTS[name].prefix and any(key.startswith(KEY_LAYOUTS[name].marks) for key in keys)
    ]
    if not found or not any(key.endswith(SIGNATURE) for key in keys):
        shown = ", ".join(sorted(keys)[:3]) or "none"
        raise CheckpointError(
            f"not a SwiftFormer: expected keys that end in {SIGNATURE[1:]} and those of a stem, found {len(keys)} "
            f"keys ({shown}, ...)"
        )
    # Where names of two layouts are mixed, the keys of the one with fewer will be unexpected.
    best = max(found, key=lambda name: sum(key.startswith(KEY_LAYOUTS[name].marks) for key in keys))
    wrapped = (name for name, row in KEY_LAYOUTS.items() if row.prefix and prefix.endswith(row.prefix))
    return next((name for name in wrapped if KEY_LAYOUTS[name].marks == KEY_LAYOUTS[best].marks), best)


def to_canonical(keys: Iterable[str], key_layout: KeyLayoutName) -> dict[str, str]:
    """Returns the canonical (timm's) name of each key of a key layout.

    Args:
        keys: Keys, as returned by `strip`.
        key_layout: The key layout of the keys.

    Returns:
        Canonical names by key.

    Raises:
        CheckpointError: A key is unknown in the key layout, two keys stand for the same tensor, or the numbers in
            `network` have a gap.

    Examples:
        >>> to_canonical(["network.0.0.attn.Proj.bias"], "original")
        {'network.0.0.attn.Proj.bias': 'stages.0.blocks.0.attn.proj.bias'}
    """
    keys = list(keys)
    row = KEY_LAYOUTS[key_layout]
    bare = {key: key.removeprefix(row.prefix) for key in keys}
    full = {
        key: _HF_BASE + name if key_layout == "hf" and name.startswith(_HF_BARE) else name for key, name in bare.items()
    }
    fronts = _fronts_of_network(row, full.values())
    back = {theirs: ours for ours, theirs in fronts.items()}
    words_back = {theirs: ours for ours, theirs in row.words.items()}
    names = {key: _rename(full[key], back, words_back) for key in keys}
    unexpected = [key for key in keys if _rename(names[key], fronts, row.words) != full[key]]
    if unexpected:
        raise CheckpointError(f"unexpected in the {key_layout} key layout ({len(unexpected)}): {shorten(unexpected)}")
    return _without_collisions(names)


def from_canonical(keys: Iterable[str], key_layout: KeyLayoutName) -> dict[str, str]:
    """Returns the name of each canonical key in a key layout; the inverse of `to_canonical`.

    Args:
        keys: All canonical keys of a model, since they determine how `network` is numbered.
        key_layout: The key layout of the result.

    Returns:
        Names in the key layout by canonical key.

    Examples:
        >>> names = from_canonical(["stages.0.blocks.0.dwconv.bias", "stages.1.downsample.norm.bias"], "original")
        >>> list(names.values())
        ['network.0.0.dwconv.bias', 'network.1.norm.bias']
    """
    keys = list(keys)
    row = KEY_LAYOUTS[key_layout]
    modules = {(int(m[1]), m[2]) for key in keys if (m := re.match(r"stages\.(\d+)\.(blocks|downsample)\.", key))}
    # A stage's downsampling stands before its blocks.
    order = sorted(modules, key=lambda module: (module[0], module[1] == "blocks"))
    fronts = _fronts(row, [f"stages.{stage}.{kind}" for stage, kind in order])
    return {key: row.prefix + _rename(key, fronts, row.words) for key in keys}


def shorten(names: Iterable[str], limit: int = 8) -> str:
    """Lists the first few names, and how many more there are.

    Examples:
        >>> shorten(["head.bias", "head.weight", "norm.bias"], limit=2)
        'head.bias, head.weight and 1 more'
    """
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _fronts(row: KeyLayout, modules: Iterable[str]) -> dict[str, str]:
    """The key layout's names for the stem and for these canonical modules."""
    if row.network is None:
        return {}
    network = {
        module: f"{row.network}.{number}{row.blocks if module.endswith('blocks') else ''}"
        for number, module in enumerate(modules)
    }
    return {"stem": row.stem, **network}


def _fronts_of_network(row: KeyLayout, keys: Iterable[str]) -> dict[str, str]:
    """The same, from the key layout's keys: the content of a number tells a downsampling from a stage."""
    if row.network is None:
        return {}
    holds: dict[int, set[str]] = {}
    for key in keys:
        if match := re.match(re.escape(row.network) + r"\.(\d{1,6})\.(\w+)", key):
            holds.setdefault(int(match[1]), set()).add(match[2])
    if gaps := sorted(set(range(max(holds, default=-1) + 1)) - set(holds)):
        raise CheckpointError(f"missing: {row.network}.{gaps[0]}, although {row.network} continues to {max(holds)}")
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
            raise CheckpointError(f"{owners[name]} and {key} map to the same tensor, {name}")
        owners[name] = key
    return names
