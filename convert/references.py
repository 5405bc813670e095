"""The PyTorch references that parity is measured against: timm's SwiftFormer and Hugging Face's, with random weights.

The original repository's attention type is timm's, so an original checkpoint is timm's weights under the original's
names; timm's own loader, which knows those names, confirms them.
"""

import argparse
import collections
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import timm
import torch
import transformers
from timm.models.swiftformer import SwiftFormer, checkpoint_filter_fn

State = dict[str, torch.Tensor]

VERSIONS = {"torch": torch.__version__, "timm": timm.__version__, "transformers": transformers.__version__}


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What both references are built from.

    Args:
        depths: Blocks per stage.
        embed_dims: Channels per stage.
        labels: Number of classes.
        mlp_ratio: Hidden over outer channels.
        downsamples: As Hugging Face counts: whether something follows stage `i`.
    """

    depths: tuple[int, ...]
    embed_dims: tuple[int, ...]
    labels: int = 1000
    mlp_ratio: int = 4
    downsamples: tuple[bool, ...] = (True, True, True, True)

    def timm(self) -> SwiftFormer:
        """timm's model, which computes `l2`."""
        model = SwiftFormer(
            layers=list(self.depths),
            embed_dims=list(self.embed_dims),
            mlp_ratios=self.mlp_ratio,
            downsamples=[False, *self.downsamples[:-1]],
            num_classes=self.labels,
        )
        return model.eval()

    def hf(self) -> transformers.SwiftFormerForImageClassification:
        """Hugging Face's model, which computes `uniform`."""
        config = transformers.SwiftFormerConfig(
            depths=list(self.depths),
            embed_dims=list(self.embed_dims),
            mlp_ratio=self.mlp_ratio,
            downsamples=list(self.downsamples),
            num_labels=self.labels,
        )
        return transformers.SwiftFormerForImageClassification(config).eval()


def randomize(model: torch.nn.Module, seed: int) -> None:
    """Weights under which every part of the model counts.

    Layer scales are near 1 and BatchNorm has statistics: as initialized, the two attention types differ by 5e-4 only,
    and a parity test would pass with the wrong one.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor: torch.Tensor, low: float, high: float) -> None:
        tensor.uniform_(low, high, generator=generator)

    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            leaf = name.rsplit(".", 1)[-1]
            if leaf == "num_batches_tracked":
                tensor.fill_(7)
            elif "layer_scale" in name or leaf == "running_var" or (leaf == "weight" and tensor.ndim == 1):
                uniform(tensor, 0.5, 1.5)
            elif tensor.ndim == 1:
                uniform(tensor, -0.2, 0.2)
            else:
                fan_in = len(tensor) if leaf == "w_g" else tensor[0].numel()
                tensor.normal_(0, 1 if leaf == "w_g" else fan_in**-0.5, generator=generator)


def original_names(state: State) -> State:
    """timm's weights under the names of the original repository."""
    stages = sorted({int(key.split(".")[1]) for key in state if key.startswith("stages.")})
    numbers: dict[str, int] = {}
    for stage in stages:
        for module in ("downsample", "blocks"):
            if any(key.startswith(f"stages.{stage}.{module}.") for key in state):
                numbers[f"stages.{stage}.{module}"] = len(numbers)
    renamed = collections.OrderedDict()
    for key, tensor in state.items():
        name = re.sub(r"^(stages\.\d+\.\w+)", lambda match: f"network.{numbers[match[1]]}", key)
        name = re.sub(r"^stem\.", "patch_embed.", name)
        name = re.sub(r"^head_dist\.", "dist_head.", name)
        renamed[name.replace(".attn.proj.", ".attn.Proj.").removesuffix(".gamma")] = tensor
    if all(f"stages.{stage}.downsample.proj.weight" in state for stage in stages[1:]):
        # timm's loader takes an odd number for a downsampling, so it can judge only where that holds.
        back = checkpoint_filter_fn(dict(renamed), torch.nn.Module())
        if set(back) != set(state) or any(back[key] is not state[key] for key in state):
            raise AssertionError("timm reads other weights from these original names")
    return renamed


def hf_names(state: State) -> State:
    """timm's weights under Hugging Face's names, for the same weights in both attention types."""
    renamed = {}
    for key, tensor in original_names(state).items():
        name = re.sub(r"^network\.(\d+)\.(\d+)\.", r"network.\1.blocks.\2.", key)
        name = re.sub(r"^network\.", "swiftformer.encoder.network.", name)
        name = re.sub(r"^patch_embed\.", "swiftformer.patch_embed.patch_embedding.", name)
        name = name.replace(".dwconv.", ".depth_wise_conv.").replace(".attn.Proj.", ".attn.proj.")
        renamed[re.sub(r"\.pwconv(\d)\.", r".point_wise_conv\1.", name)] = tensor
    return renamed


def pair(architecture: Architecture, seed: int) -> tuple[SwiftFormer, transformers.SwiftFormerForImageClassification]:
    """timm's model and Hugging Face's with the same random weights: the two attention types."""
    l2 = architecture.timm()
    randomize(l2, seed)
    uniform = architecture.hf()
    uniform.load_state_dict(hf_names(l2.state_dict()), strict=True)
    return l2, uniform


def training_file(state: State, path: Path, prefix: str = "") -> None:
    """What the original repository's training script saves."""
    weights = collections.OrderedDict((prefix + key, tensor) for key, tensor in state.items())
    averaged = collections.OrderedDict((key, tensor * 0.5) for key, tensor in weights.items())
    parameters = [torch.nn.Parameter(torch.ones(3))]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    parameters[0].sum().backward()
    optimizer.step()
    content = {
        "model": weights,
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1).state_dict(),
        "epoch": 299,
        "model_ema": averaged,
        "scaler": {"scale": 65536.0, "growth_factor": 2.0},
        "args": argparse.Namespace(
            batch_size=128,
            device=torch.device("cpu"),
            output_dir=Path("out"),
            lr=np.float64(1e-3),
            amp_dtype=torch.float16,
        ),
    }
    torch.save(content, path)


def strided(state: State) -> State:
    """The same values in memory layouts that a reader can get wrong: channels last, and views of one storage."""
    result: dict[str, Any] = {}
    biases = [key for key, tensor in state.items() if tensor.ndim == 1 and tensor.is_floating_point()]
    shared = torch.cat([state[key] for key in biases])
    offset = 0
    for key, tensor in state.items():
        if tensor.ndim == 4:
            result[key] = tensor.contiguous(memory_format=torch.channels_last)
        elif tensor.ndim == 2:
            result[key] = tensor.T.contiguous().T
        elif key in biases:
            result[key] = shared[offset : offset + len(tensor)]
            offset += len(tensor)
        else:
            result[key] = tensor
    return result


def load(model: torch.nn.Module, content: Any) -> None:
    """Weights of any source into a reference, strictly, through timm's own filter where the names are the original's.

    Args:
        model: timm's or Hugging Face's.
        content: A state dict, or the path of a file that PyTorch or safetensors is to read.
    """
    if isinstance(content, Path):
        is_torch = content.suffix != ".safetensors"
        content = torch.load(content, weights_only=True) if is_torch else safetensors.torch.load_file(content)
    state = content.get("model", content)
    if "patch_embed.0.weight" in state:
        state = checkpoint_filter_fn(dict(state), torch.nn.Module())
    if "stem.0.weight" in state and not hasattr(model, "stem"):
        state = hf_names(state)
    model.load_state_dict(state, strict=True)


class Case(NamedTuple):
    """A file in a form that circulates, and the reference that it belongs to.

    Args:
        name: The file's name.
        holds: In words.
        reference: Which model computes what the file means.
        state: Its weights, as in the file.
        save: Writes the file.
    """

    name: str
    holds: str
    reference: torch.nn.Module
    state: State
    save: Callable[[Path], None]


def cases(l2: torch.nn.Module, uniform: torch.nn.Module) -> list[Case]:
    """Containers, precisions and memory layouts, with the weights of a pair."""
    timm_state, hf_state = l2.state_dict(), uniform.state_dict()
    original = original_names(timm_state)
    one_head = {**original, "dist_head.weight": original["head.weight"], "dist_head.bias": original["head.bias"]}

    def cast(state: State, dtype: torch.dtype) -> State:
        return {key: tensor.to(dtype) if tensor.is_floating_point() else tensor for key, tensor in state.items()}

    half, brain, double = (
        cast(hf_state, torch.float16),
        cast(timm_state, torch.bfloat16),
        cast(timm_state, torch.float64),
    )
    odd = strided(timm_state)
    return [
        Case(
            "training.pth",
            "original training file with `argparse.Namespace`, optimizer and EMA, keys under `module.`",
            l2,
            original,
            lambda path: training_file(original, path, prefix="module."),
        ),
        Case(
            "one_head.pth",
            "original names under `state_dict`, no `dist_head`",
            l2,
            one_head,
            lambda path: torch.save(
                {"state_dict": {key: x for key, x in original.items() if not key.startswith("dist_head")}}, path
            ),
        ),
        Case(
            "ema.pth",
            "original names, nothing but `model_ema`",
            l2,
            original,
            lambda path: torch.save({"model_ema": original}, path),
        ),
        Case(
            "pytorch_model.bin", "Hugging Face names, bare", uniform, hf_state, lambda path: torch.save(hf_state, path)
        ),
        Case("float16.bin", "Hugging Face names in float16", uniform, half, lambda path: torch.save(half, path)),
        Case("float64.pth", "timm names in float64", l2, double, lambda path: torch.save(double, path)),
        Case(
            "strided.pth",
            "timm names; channels last, transposed, shared storage",
            l2,
            odd,
            lambda path: torch.save(odd, path),
        ),
        Case(
            "bfloat16.safetensors",
            "timm names in bfloat16",
            l2,
            brain,
            lambda path: save_safetensors(brain, path),
        ),
    ]


def logits(model: torch.nn.Module, images: np.ndarray) -> np.ndarray:
    """A reference's logits (B, labels) of channels-last images (B, H, W, 3)."""
    with torch.no_grad():
        result = model(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    return getattr(result, "logits", result).numpy()


def save_safetensors(state: State, path: Path) -> None:
    """Saves a file in the form of timm's and Hugging Face's on the hub."""
    safetensors.torch.save_file({key: tensor.contiguous() for key, tensor in state.items()}, path, {"format": "pt"})
