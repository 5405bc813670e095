"""Compares segmenters in mmsegmentation's layout with mmsegmentation's own FPN and FPNHead, on timm's SwiftFormer.

    python convert/mmseg_port.py                 measure on XS with the paper's head, both ways, fail beyond 1e-5
    python convert/mmseg_port.py --write-golden  also make tests/golden/mmseg anew

Needs an environment of its own: this package's dependencies, those of `parity`, and mmsegmentation 1.2.2 with
mmcv-lite 2.1.0, which is mmcv without compiled operators. `mmseg.models` asks for those at its import, for heads that
are not used here; modules without content stand in for them. What computes is mmsegmentation's code and mmcv's
ConvModule.
"""

import argparse
import sys
import tempfile
import types
import warnings
from pathlib import Path

import numpy as np
import references
import safetensors.numpy
import safetensors.torch
import torch
from comparing import error
from references import Architecture

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.config import VARIANTS
from swiftformer_tf.porting import port, to_checkpoint

THRESHOLD = 1e-5
GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "mmseg"
# The second is no multiple of 32: maps become larger than those they are added to, and are cut or resized.
SIZES = ((224, 224), (190, 250))


class _Operators(types.ModuleType):
    """In the place of `mmcv.ops`: whatever is imported from it is a module without content."""

    def __getattr__(self, name: str) -> type[torch.nn.Module]:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (torch.nn.Module,), {})


sys.modules["mmcv.ops"] = _Operators("mmcv.ops")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mmseg
    from mmseg.models.decode_heads.fpn_head import FPNHead
    from mmseg.models.necks.fpn import FPN


class Segmenter(torch.nn.Module):
    """timm's backbone and mmsegmentation's neck and head, as its EncoderDecoder has them.

    With `feature_norms`, a normalization follows each stage before the neck, as in the original repository's
    `fork_feat=True`; the next stage reads what is not normalized.
    """

    def __init__(self, architecture: Architecture, fpn_dim: int, head_dim: int, *, feature_norms: bool = False) -> None:
        super().__init__()
        levels = len(architecture.embed_dims)
        self.backbone = architecture.timm()
        kind = torch.nn.BatchNorm2d if feature_norms else torch.nn.Identity
        self.norms = torch.nn.ModuleList(kind(width) for width in architecture.embed_dims)
        self.neck = FPN(list(architecture.embed_dims), fpn_dim, num_outs=levels)
        self.decode_head = FPNHead(
            in_channels=[fpn_dim] * levels,
            in_index=list(range(levels)),
            feature_strides=[4 * 2**level for level in range(levels)],
            channels=head_dim,
            dropout_ratio=0.1,
            num_classes=architecture.labels,
            norm_cfg={"type": "BN"},
            align_corners=False,
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, labels, H / 4, W / 4)."""
        hidden, maps = self.backbone.stem(pixels), []
        for stage, norm in zip(self.backbone.stages, self.norms, strict=True):
            hidden = stage(hidden)
            maps.append(norm(hidden))
        return self.decode_head(self.neck(maps))

    def published(self) -> references.State:
        """Its tensors as mmsegmentation's checkpoints name them; timm's classifier is not part of it."""
        own = self.state_dict()
        timms = {key.removeprefix("backbone."): own.pop(key) for key in [*own] if key.startswith("backbone.")}
        normed = [(key.split(".", 2), own.pop(key)) for key in [*own] if key.startswith("norms.")]
        # The original repository counts the downsamplings between the stages.
        norms = {f"backbone.norm{2 * int(stage)}.{leaf}": tensor for (_, stage, leaf), tensor in normed}
        backbone = {
            key: tensor
            for key, tensor in references.original_names(timms).items()
            if not key.startswith(("norm.", "head.", "dist_head."))
        }
        return {**{f"backbone.{key}": tensor for key, tensor in backbone.items()}, **norms, **own}


def segmenter(architecture: Architecture, fpn_dim: int, head_dim: int, *, feature_norms: bool = False) -> Segmenter:
    """A segmenter with weights under which every part changes the output."""
    model = Segmenter(architecture, fpn_dim, head_dim, feature_norms=feature_norms).eval()
    references.randomize(model, seed=0)
    return model


def logits(model: Segmenter, images: np.ndarray) -> np.ndarray:
    """Channels last."""
    return references.logits(model, images).transpose(0, 2, 3, 1)


def measure(folder: Path, *, feature_norms: bool) -> bool:
    """XS with the paper's head: a training file of mmsegmentation's opened here, and written back for it."""
    print(f"{'with' if feature_norms else 'without'} norms after the stages")
    architecture = Architecture(VARIANTS["xs"]["depths"], VARIANTS["xs"]["embed_dims"], labels=150)
    reference = segmenter(architecture, 256, 128, feature_norms=feature_norms)
    state = reference.published()
    torch.save({"meta": {"iter": 40000}, "state_dict": state}, folder / "iter_40000.pth")
    model = port(Checkpoint.open(folder / "iter_40000.pth")).model
    to_checkpoint(model).save(folder / "back.safetensors")
    back = safetensors.torch.load_file(folder / "back.safetensors")
    counters = {key for key in state if key.endswith("num_batches_tracked")}
    is_equal = set(back) | counters == set(state) | counters and all(
        torch.equal(tensor, state[key]) for key, tensor in back.items() if key not in counters
    )
    print(f"{'ok  ' if is_equal else 'FAIL'} written back: {len(back)} tensors, equal to those that were read")
    passed = [is_equal]
    for size in SIZES:
        images = np.random.default_rng(1).standard_normal((1, *size, 3), np.float32)
        theirs = logits(reference, images)
        found = error(np.asarray(model(images, training=False)), theirs)
        passed.append(found <= THRESHOLD)
        print(f"{'ok  ' if passed[-1] else 'FAIL'} {size[0]} x {size[1]}: largest difference {found:.1e}", flush=True)
    return all(passed)


def write_golden() -> None:
    """A small file, and what mmsegmentation's modules compute with it."""
    GOLDEN.mkdir(exist_ok=True)
    model = segmenter(Architecture((1, 1, 1, 1), (4, 6, 8, 10), labels=3), 6, 4)
    torch.save({"meta": {"iter": 40000}, "state_dict": model.published()}, GOLDEN / "iter_40000.pth")
    images = np.random.default_rng(2).standard_normal((2, 37, 50, 3), np.float32)
    expected = {"images": images, "logits": np.ascontiguousarray(logits(model, images))}
    safetensors.numpy.save_file(expected, GOLDEN / "expected.safetensors")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-golden", action="store_true", help="make tests/golden/mmseg anew")
    if parser.parse_args().write_golden:
        write_golden()
    print(f"mmsegmentation {mmseg.__version__}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        passed = [measure(Path(folder), feature_norms=each) for each in (False, True)]
        return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
