"""The peers from PyTorch, in an environment of their own. `tflite/benchmark.py` runs this; nobody else needs to.

`build FOLDER OURS` writes their files and `torch.json` about them; OURS is our own float32 file, which the peers'
quantizer quantizes too. `serve FOLDER THREADS` runs the ones that are no TFLite
files, one line of standard input a run: `run NAME` answers `done` and the milliseconds, `answers NAME OUT.npy` `done`,
and what fails `error` and why; words stand between tabs.
"""

import hashlib
import json
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import transformers
from benchmark_quantizer import quantized
from safetensors.torch import load_file

SIZE = 224
SAMPLE = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
VARIANTS = {
    "xs": ((3, 3, 6, 4), (48, 56, 112, 220)),
    "s": ((3, 3, 9, 6), (48, 64, 168, 224)),
    "l1": ((4, 3, 10, 5), (48, 96, 192, 384)),
    "l3": ((4, 4, 12, 6), (64, 128, 320, 512)),
}
OTHERS = {"MobileNetV3-Large": "mobilenetv3_large_100", "EfficientFormer-L1": "efficientformer_l1"}


# What litert-quantizer calls its recipes, and what kind of file that is.
QUANTIZER_RECIPES = {
    "static_wi8_ai8": "int8",
    "dynamic_wi8_afp32": "dynamic int8",
    "dynamic_wi4_afp32": "dynamic int4",
    "dynamic_wi4b32_afp32": "dynamic int4",  # a scale for 32 inputs
}


class Logits(torch.nn.Module):
    """A model that answers with a tensor."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result = self.model(image)
        return getattr(result, "logits", result)


def hugging_face(variant: str, weights: Path | None) -> torch.nn.Module:
    """transformers' SwiftFormer, with our trained weights or as it initializes itself."""
    depths, dims = VARIANTS[variant]
    state = load_file(weights) if weights else {}
    config = transformers.SwiftFormerConfig(
        depths=list(depths), embed_dims=list(dims), num_labels=len(state["head.weight"]) if state else 1000
    )
    model = transformers.SwiftFormerForImageClassification(config)
    if state:
        state.update({f"dist_{key}": state[key] for key in ("head.weight", "head.bias") if f"dist_{key}" not in state})
        model.load_state_dict(state, strict=True)
    return Logits(model).eval()


def timms(variant: str, weights: Path | None) -> torch.nn.Module:
    """timm's SwiftFormer, likewise."""
    state = load_file(weights) if weights else {}
    model = timm.create_model(f"swiftformer_{variant}", num_classes=len(state["head.weight"]) if state else 1000)
    if state:
        for leaf in ("weight", "bias"):
            state.setdefault(f"head_dist.{leaf}", state[f"head.{leaf}"])
        model.load_state_dict(state, strict=True)
    return Logits(model).eval()


SOURCES: dict[str, Callable[[str, Path | None], torch.nn.Module]] = {"HF": hugging_face, "timm": timms}


def trained(folder: Path, source: str) -> torch.nn.Module:
    """XS with the weights that ship with this package."""
    return SOURCES[source]("xs", folder / f"xs_{source.lower()}.safetensors")


def to_litert(model: torch.nn.Module, path: Path) -> None:
    import litert_torch

    litert_torch.convert(model, (SAMPLE,)).export(str(path))


def _litert_trained(folder: Path, source: str, path: Path) -> None:
    to_litert(trained(folder, source), path)


def _litert_untrained(source: str, variant: str, path: Path) -> None:
    to_litert(SOURCES[source](variant, None), path)


def _litert_other(name: str, path: Path) -> None:
    to_litert(Logits(timm.create_model(name)).eval(), path)


def _onnx_trained(folder: Path, source: str, path: Path) -> None:
    to_onnx(trained(folder, source), path)


def to_onnx(model: torch.nn.Module, path: Path) -> None:
    torch.onnx.export(model, (SAMPLE,), str(path), dynamo=False, input_names=["image"], output_names=["logits"])


def static_onnx(source: Path, path: Path, calibration: np.ndarray) -> None:
    """ONNX Runtime's own integer form: 8 bits, QDQ, weights by channel."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.images, None)
            return None if image is None else {"image": image[None]}

    ready = path.with_suffix(".ready")
    # Its symbolic inference fails on the expansions of attention's weights; shapes are fixed anyway.
    quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
    quantize_static(str(ready), str(path), Reader(), quant_format=QuantFormat.QDQ, per_channel=True)
    ready.unlink()


class _Files:
    """The files of a folder that are made, and what is known of each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: list[dict[str, Any]] = []

    def add(self, name: str, model: str, kind: str, file: str | None, make: Any, **facts: Any) -> None:
        entry = {"name": name, "model": model, "kind": kind, "file": file, "error": None, "reference": None, **facts}
        self.entries.append(entry)
        if file is None:
            return
        entry["error"] = self.made(self.folder / file, make)
        print(f"{name}: {entry['error'] or 'ready'}", file=sys.stderr, flush=True)

    def made(self, path: Path, make: Any) -> str | None:
        """Makes a file that is not there; why it could not be made, now or before."""
        failed = path.with_suffix(".error")
        if not path.exists() and not failed.exists():
            beside = path.with_name(f"part-{path.name}")
            try:
                make(beside)
                beside.replace(path)
            except Exception as error:  # that a peer cannot be built is a result
                failed.write_text(f"{type(error).__name__}: {' '.join(str(error).strip().splitlines()[:1])}")
        return None if path.exists() else failed.read_text()

    def quantize(self, title: str, source: Path, images: np.ndarray, reference: str) -> None:
        for recipe, kind in QUANTIZER_RECIPES.items():
            file = f"{source.stem}_{recipe}.tflite"
            make = partial(quantized, source, recipe=recipe, calibration=images)
            self.add(f"{title}, litert-quantizer {recipe}", "xs", kind, file, make, reference=reference)


def build(folder: Path, ours: Path) -> None:
    calibration = np.load(folder / "calibration.npy").transpose(0, 3, 1, 2).copy()
    files = _Files(folder)
    add, quantize = files.add, files.quantize
    # What our own rewriter is worth: the same graph, another's quantizer. Named by content, since ours change.
    own = folder / f"ours_{hashlib.sha256(ours.read_bytes()).hexdigest()[:12]}.tflite"
    if not own.exists():
        shutil.copy(ours, own)
    quantize("our float32 file", own, calibration.transpose(0, 2, 3, 1).copy(), "ours float32")
    for source in SOURCES:
        stem, floating = f"xs_{source.lower()}", f"{source}, litert-torch"
        litert, onnx = folder / f"{stem}.tflite", folder / f"{stem}.onnx"
        add(floating, "xs", "float32", litert.name, partial(_litert_trained, folder, source))
        quantize(floating, litert, calibration, floating)
        floating = f"{source}, ONNX Runtime"
        add(floating, "xs", "float32", onnx.name, partial(_onnx_trained, folder, source))
        make = partial(static_onnx, onnx, calibration=calibration)
        add(f"{floating} quantize_static", "xs", "int8", f"{stem}_static.onnx", make, reference=floating)
        for how in ("eager", "compiled"):
            add(f"{source}, PyTorch {how}", "xs", "float32", None, None, source=source, how=how)
    for variant in list(VARIANTS)[1:]:
        for source in SOURCES:
            file = f"../untrained/{variant}_{source.lower()}.tflite"
            add(f"{source}, litert-torch", variant, "float32", file, partial(_litert_untrained, source, variant))
    for name, timm_name in OTHERS.items():
        file = f"../untrained/{timm_name}.tflite"
        add(f"{name}, timm, litert-torch", "other", "float32", file, partial(_litert_other, timm_name))
    (folder / "torch.json").write_text(json.dumps(files.entries, indent=1))


def runner(folder: Path, entry: dict[str, Any], threads: int) -> Callable[[torch.Tensor], np.ndarray]:
    """What runs one image (1, 3, height, width)."""
    if entry["file"]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Its threads would otherwise spin for a while beside whatever runs next.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        session = onnxruntime.InferenceSession(folder / entry["file"], options, providers=["CPUExecutionProvider"])
        return lambda image: session.run(None, {"image": image.numpy()})[0]
    model = trained(folder, entry["source"])
    if entry["how"] == "compiled":
        model = torch.compile(model)
    return lambda image: model(image).numpy()


def serve(folder: Path, threads: int) -> None:
    torch.set_num_threads(threads)
    entries = {e["name"]: e for e in json.loads((folder / "torch.json").read_text())}
    runners: dict[str, Callable[[torch.Tensor], np.ndarray]] = {}

    def answer(verb: str, name: str, *rest: str) -> str:
        if name not in runners:
            run = runner(folder, entries[name], threads)
            run(SAMPLE)
            runners[name] = run
        if verb == "run":
            start = time.perf_counter()
            runners[name](SAMPLE)
            return f"{1000 * (time.perf_counter() - start)}"
        images = torch.from_numpy(np.load(folder / "validation.npy").transpose(0, 3, 1, 2).copy())
        np.save(rest[0], np.concatenate([runners[name](image[None]) for image in images]))
        return ""

    for line in sys.stdin:
        try:
            with torch.inference_mode():
                print("done", answer(*line.rstrip("\n").split("\t")), sep="\t", flush=True)
        except Exception as error:  # that a peer cannot run is a result, and the others go on
            print("error", f"{type(error).__name__}: {' '.join(str(error).split())}", sep="\t", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1] == "build":
        build(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        serve(Path(sys.argv[2]), int(sys.argv[3]))
