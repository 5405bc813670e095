"""Makes `tests/golden`: small weight files by the references, and what those compute with them."""

import copy
import json
from pathlib import Path

import numpy as np
import references
import safetensors.numpy
import torch
from references import Architecture

# Small, but with both kinds of block, and with nothing at its default that a file can tell.
SMALL = Architecture(depths=(2, 1, 1, 1), embed_dims=(4, 6, 8, 10), labels=7)
# No downsampling after the first stage: Hugging Face's and the original's numbers are one off from there on.
SHIFTED = Architecture(
    depths=(1, 2, 1, 1), embed_dims=(6, 6, 8, 8), labels=5, mlp_ratio=2, downsamples=(False, True, True, True)
)

# The reference cases that only PyTorch can write; the tests make the others themselves.
FILES = ("training.pth", "float16.bin", "strided.pth", "bfloat16.safetensors")


def write(folder: Path) -> None:
    """Replaces the files in `folder`."""
    folder.mkdir(exist_ok=True)
    # Neither square nor a multiple of 32.
    pictures = np.random.default_rng(0).standard_normal((2, 37, 50, 3), np.float32)
    expected = {"images": pictures}
    l2, uniform = references.pair(SMALL, seed=0)
    for case in references.cases(l2, uniform):
        if case.name in FILES:
            case.save(folder / case.name)
            reference = copy.deepcopy(case.reference)
            references.load(reference, case.state)
            expected[case.name] = references.logits(reference, pictures)
    expected["training.pth, uniform"] = references.logits(uniform, pictures)
    norm = {key: tensor for key, tensor in l2.state_dict().items() if key.startswith("norm.")}
    torch.save(norm, folder / "legacy.pth", _use_new_zipfile_serialization=False)

    shifted_l2, shifted = references.pair(SHIFTED, seed=1)
    shifted.config.id2label = dict(enumerate(("tench", "goldfish", "shark", "hammerhead", "ray")))
    shifted.save_pretrained(folder / "hf")
    expected["hf/model.safetensors"] = references.logits(shifted, pictures)
    with torch.no_grad():
        tensors = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())
        states = shifted(tensors, output_hidden_states=True).hidden_states
    for index, state in enumerate(states):
        expected[f"hf/hidden_states.{index}"] = np.ascontiguousarray(state.numpy().transpose(0, 2, 3, 1))
    torch.save({"model": references.original_names(shifted_l2.state_dict())}, folder / "shifted.pth")
    expected["shifted.pth"] = references.logits(shifted_l2, pictures)

    data = safetensors.numpy.save(expected, {"versions": json.dumps(references.VERSIONS)})
    (folder / "expected.safetensors").write_bytes(data)
