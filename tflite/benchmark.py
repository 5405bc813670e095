"""How fast are our files, and how fast are others'? One run, taking turns; writes `tflite/README.md`.

`make benchmark PHOTOGRAPHS=FOLDER` sets up the environments and runs `python tflite/benchmark.py FOLDER`; the folder
has `train` and `val`, each with a folder a class. What was built is kept below `--cache` and built again when the
weights or what exports them change; the peers with random weights stay. On a machine that does other things too, build
with `--build-only` and then measure under real-time priority: `chrt -f 50 .venv/bin/python tflite/benchmark.py FOLDER`.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import benchmark_ours
import benchmark_report
import numpy as np
from core_peak import core_peak, fastest_profile, multiply_adds

from swiftformer_tf import PRETRAINED, LiteModel, SwiftFormerForImageClassification, to_checkpoint
from swiftformer_tf.images.folders import ImageFolder, balanced_sample
from swiftformer_tf.images.inputs import image_inputs
from swiftformer_tf.litert.benchmarking import Timing, interleave, is_real_time, peak_bytes
from swiftformer_tf.litert.integers import Quantization, quantized
from swiftformer_tf.litert.ops import count_partitions
from swiftformer_tf.litert.profiling import open_for_timing
from swiftformer_tf.native_logs import native_stderr_silenced

ROOT = Path(__file__).parents[1]
WEIGHTS = PRETRAINED["swiftformer_xs_imagenette"]
CALIBRATION, VALIDATION = 200, 300
# Where a graph's buffers come to lie is worth a few per cent: each round loads every file anew, in another order.
ROUNDS, REPEATS = 3, 12
# Fresh processes for the first answer of each file, and of the two whose ratio is a goal.
FIRST_ANSWERS, COMPARED_FIRST_ANSWERS = 5, 40
SIZE = benchmark_ours.SIZE
TORCH, HF_TF = (ROOT / f".venv-benchmark-{name}" / "bin" / "python" for name in ("torch", "hf-tf"))


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def sha(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:12]


def sources() -> list[Path]:
    """The modules of the package that decide what an exported file computes."""
    package = ROOT / "swiftformer_tf"
    # What this one imports beside the others wraps a file and reads images.
    found = {package / "exporting.py"}
    wanted = ["model", "fusion", "quantization"]
    while wanted:
        module = package.joinpath(*wanted.pop().split("."))
        path = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
        if path not in found:
            found.add(path)
            wanted += re.findall(r"^ *from swiftformer_tf\.([\w.]+) import", path.read_text(), re.MULTILINE)
    return sorted(found)


def prepare(photographs: Path, cache: Path) -> tuple[Path, Path]:
    """Photographs as arrays and weights under the peers' names: one folder for peers, one for what we export."""
    train, val = (ImageFolder.open(photographs / split) for split in ("train", "val"))
    peers = cache / f"peers-{sha(WEIGHTS)}"
    own = cache / f"ours-{sha(WEIGHTS, Path(benchmark_ours.__file__), *sources())}"
    for folder in (cache / "untrained", peers, own):
        folder.mkdir(parents=True, exist_ok=True)
    model = SwiftFormerForImageClassification.from_pretrained(WEIGHTS)
    transform = model.config.replace(image_size=SIZE).transform
    if not (peers / "labels.npy").exists():
        chosen = balanced_sample(val.paths, VALIDATION)
        labels = dict(zip(val.paths, val.labels, strict=True))
        for name, paths in (("calibration", balanced_sample(train.paths, CALIBRATION)), ("validation", chosen)):
            np.save(peers / f"{name}.npy", np.concatenate(list(image_inputs(paths, transform, raw=False))))
        checkpoint = to_checkpoint(model)
        checkpoint.save(peers / "xs_timm.safetensors", key_layout="timm")
        # Hugging Face's code computes the other attention type: with these weights it is as fast, and not as right.
        other = checkpoint.config.replace(token_weights="uniform")
        dataclasses.replace(checkpoint, config=other).save(peers / "xs_hf.safetensors", key_layout="hf")
        np.save(peers / "labels.npy", [labels[path] for path in chosen])
    return peers, own


def build(peers: Path, own: Path) -> list[dict[str, Any]]:
    """Everything that takes part, with its file; a peer that cannot be built has an `error` instead."""
    benchmark_ours.build(SwiftFormerForImageClassification.from_pretrained(WEIGHTS), own, peers, say)
    entries = [{**each, "path": str(own / each["file"])} for each in json.loads((own / "ours.json").read_text())]
    for python, script in ((TORCH, "benchmark_torch.py build"), (HF_TF, "benchmark_hf_tf.py")):
        listed = peers / f"{script.split('.')[0].removeprefix('benchmark_')}.json"
        name, *arguments = script.split()
        ours = [str(own / "xs_ours_float32.tflite")] if arguments else []
        if not python.exists():
            reason = f"no environment {python.parent.parent.name}; make benchmark sets it up"
            entries.append({"name": f"all of {name}", "model": "other", "kind": "", "error": reason, "path": None})
            continue
        command = [str(python), str(ROOT / "tflite" / name), *arguments, str(peers), *ours]
        listed.unlink(missing_ok=True)
        with (peers / f"{listed.stem}.log").open("w") as log:
            status = subprocess.run(command, check=False, stdout=log, stderr=log).returncode
        if not listed.exists():
            reason = f"ended with status {status}, see {listed.stem}.log"
            entries.append({"name": f"all of {name}", "model": "other", "kind": "", "error": reason, "path": None})
            continue
        found = json.loads(listed.read_text())
        entries += [{**each, "path": str(peers / each["file"]) if each["file"] else None} for each in found]
    for entry in entries:
        entry["key"] = f"{entry['model']}: {entry['name']}"
    return entries


class Server:
    """The process of PyTorch and ONNX Runtime; it waits while others run."""

    def __init__(self, peers: Path, threads: int) -> None:
        environment = {
            **os.environ,
            "TORCHINDUCTOR_CACHE_DIR": str(peers / "inductor"),
            "OMP_NUM_THREADS": str(threads),
        }
        command = [str(TORCH), str(ROOT / "tflite" / "benchmark_torch.py"), "serve", str(peers), str(threads)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def ask(self, *words: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\t".join(words) + "\n")
        self.process.stdin.flush()
        if not (answer := self.process.stdout.readline()):
            raise RuntimeError(f"{' '.join(words)}: the process of PyTorch ended")
        status, _, rest = answer.rstrip("\n").partition("\t")
        if status != "done":
            raise RuntimeError(rest)
        return rest

    def runner(self, name: str) -> Callable[[], float]:
        """What runs a peer once and answers with the milliseconds that its own process took."""
        return lambda: float(self.ask("run", name))

    def close(self) -> None:
        self.process.communicate()


def is_tflite(entry: dict[str, Any]) -> bool:
    return bool(entry["path"]) and entry["path"].endswith(".tflite")


def show(interpreter: Any, image: np.ndarray) -> None:
    """Sets the input to an image (height, width, 3): enlarged, channels first or as integers where that is wanted."""
    (taken,) = interpreter.get_input_details()
    factor = max(taken["shape"]) // len(image)
    value = image.repeat(factor, axis=0).repeat(factor, axis=1)[None]
    value = value if taken["shape"][-1] == 3 else value.transpose(0, 3, 1, 2)
    if np.issubdtype(taken["dtype"], np.integer):
        scale, zero_point = taken["quantization"]
        value = quantized(value, Quantization(np.array([scale]), zero_point), np.dtype(taken["dtype"]).name)
    interpreter.set_tensor(taken["index"], np.ascontiguousarray(value, taken["dtype"]))


def measure(entries: list[dict[str, Any]], peers: Path, threads: int) -> dict[str, Timing]:
    """All of them in turns, on a photograph: some integer peers divide by zero on noise."""
    server = Server(peers, threads) if TORCH.exists() else None
    times: dict[str, tuple[float, ...]] = {}
    try:
        for count in range(ROUNDS):
            order = np.random.default_rng(count).permutation(len(entries))
            runs = runnable([entries[index] for index in order], peers, threads, server)
            for key, timing in interleave(runs, repeats=REPEATS).items():
                times[key] = (*times.get(key, ()), *timing.runs)
            say(f"{threads} threads: round {count + 1} of {ROUNDS}")
    finally:
        if server:
            server.close()
    return {key: Timing(runs) for key, runs in times.items()}


def runnable(
    entries: list[dict[str, Any]], peers: Path, threads: int, server: Server | None
) -> dict[str, Callable[[], float]]:
    """What runs each entry once; that one cannot run is noted in it."""
    photograph = np.load(peers / "validation.npy", mmap_mode="r")[0]
    runs: dict[str, Callable[[], float]] = {}
    for entry in entries:
        if entry["error"]:
            continue
        try:
            if is_tflite(entry):
                interpreter = open_for_timing(entry["path"], num_threads=threads)
                entry["partitions"] = count_partitions(interpreter)
                show(interpreter, photograph)
                interpreter.invoke()
                runs[entry["key"]] = timed(interpreter.invoke)
            elif server:
                server.ask("run", entry["name"])
                runs[entry["key"]] = server.runner(entry["name"])
        except Exception as error:  # that a peer cannot run is a result
            entry["error"] = f"{type(error).__name__}: {str(error).strip()[:200]}"
            say(f"{entry['key']}: {entry['error']}")
            if server and server.process.poll() is not None:
                raise
    return runs


def timed(run: Callable[[], object]) -> Callable[[], float]:
    def once() -> float:
        start = time.perf_counter()
        run()
        return 1000 * (time.perf_counter() - start)

    return once


def answers(entry: dict[str, Any], peers: Path, images: np.ndarray) -> np.ndarray:
    """Outputs (N, labels) for the validation photographs, kept by the content of the file."""
    path = Path(entry["path"])
    kept = peers / f"answers-{sha(path)}.npy"
    if not kept.exists():
        if is_tflite(entry):
            np.save(kept, tflite_answers(path, images))
        else:
            server = Server(peers, os.cpu_count() or 1)
            server.ask("answers", entry["name"], str(kept))
            server.close()
    return np.load(kept)


def tflite_answers(path: Path, images: np.ndarray) -> np.ndarray:
    interpreter = open_for_timing(path, num_threads=os.cpu_count() or 1)
    (given,) = interpreter.get_output_details()
    outputs = []
    for image in images:
        show(interpreter, image)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(given["index"])[0].copy())
    return np.array(outputs)


def judge(entries: list[dict[str, Any]], peers: Path) -> None:
    """Adds `top1`, and `agreement` with the float model of the same source, where the weights are the trained ones."""
    images, labels = np.load(peers / "validation.npy"), np.load(peers / "labels.npy")
    best: dict[str, np.ndarray] = {}
    for entry in entries:
        if entry["model"] == "xs" and entry["path"] and not entry["error"] and not entry.get("untrained"):
            try:
                best[entry["name"]] = answers(entry, peers, images).argmax(axis=1)
            except Exception as error:  # a peer whose answers cannot be had is not judged
                say(f"{entry['key']}: no answers ({error})")
                continue
            entry["top1"] = float(np.mean(best[entry["name"]] == labels))
            if entry["reference"] in best:
                entry["agreement"] = float(np.mean(best[entry["name"]] == best[entry["reference"]]))


def first_answers(paths: Sequence[str], repeats: int = FIRST_ANSWERS) -> dict[str, dict[str, float]]:
    """Medians of fresh processes, by file: milliseconds to load it and to its first answer, and peak memory.

    For a `.tflite` file without and with XNNPACK's weight cache; ONNX Runtime has none. Files take turns.
    """
    with tempfile.TemporaryDirectory() as folder:
        caches = {path: str(Path(folder, str(number))) for number, path in enumerate(paths) if path.endswith(".tflite")}
        for path, cache in caches.items():
            first_answer(path, cache)  # writes it
        cases = [(path, "cold", "") for path in paths] + [(path, "cached", cache) for path, cache in caches.items()]
        runs: dict[tuple[str, str], list[dict[str, Any]]] = {(path, name): [] for path, name, _ in cases}
        order = np.random.default_rng(0)
        for _ in range(repeats):
            for index in order.permutation(len(cases)):
                path, name, cache = cases[index]
                runs[path, name].append(first_answer(path, cache))
    found: dict[str, dict[str, float]] = {path: {} for path in paths}
    for (path, name), each in runs.items():
        medians = {what: float(np.median([run[what] for run in each])) for what in each[0]}
        found[path] |= {f"{name}_{what}": median for what, median in medians.items()}
    return found


def first_answer(path: str, cache: str) -> dict[str, Any]:
    python = sys.executable if path.endswith(".tflite") else str(TORCH)
    return json_of([python, str(ROOT / "tflite" / "cold_start.py"), path, cache])


def json_of(command: list[str], **environment: str) -> dict[str, Any]:
    """The last line that a program prints.

    Raises:
        RuntimeError: It failed; the end of what it said.
    """
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=variables)
    if done.returncode:
        raise RuntimeError(f"{Path(command[1]).name}: {' '.join(done.stderr.strip().splitlines()[-1:])}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def seconds(command: list[str], repeats: int = 1) -> float:
    """Median wall time of a command."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, check=False, capture_output=True, cwd=ROOT)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def commands(photographs: Path) -> dict[str, float]:
    """How long the export of an integer model and the import take."""
    imports: dict[str, list[float]] = {"keras": [], "swiftformer_tf": []}
    for _ in range(7):
        for name, times in imports.items():
            times.append(seconds([sys.executable, "-c", f"import {name}"]))
    with tempfile.TemporaryDirectory() as folder:
        chosen = Path(folder, "photographs")
        chosen.mkdir()
        for path in balanced_sample(ImageFolder.open(photographs / "train").paths, CALIBRATION):
            (chosen / path.name).symlink_to(path.resolve())
        code = "from swiftformer_tf.cli import main; main()"
        arguments = ["export", str(WEIGHTS), "-o", folder, "--recipe", "int8", "--calibration", str(chosen)]
        export = seconds([sys.executable, "-c", code, *arguments, "--image-size", str(SIZE)])
        if not list(Path(folder).glob("*.tflite")):
            raise RuntimeError("the export of int8 wrote nothing")
    return {"export_int8_s": export, **{f"import_{name}_s": float(np.median(each)) for name, each in imports.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="folder with train/ and val/, each with a folder a class")
    parser.add_argument("--cache", type=Path, default=ROOT / ".venv-benchmark-cache", help="where what was built stays")
    parser.add_argument("--build-only", action="store_true", help="build and judge what takes part; measure no times")
    arguments = parser.parse_args()
    peers, own = prepare(arguments.photographs, arguments.cache)
    entries = build(peers, own)
    judge(entries, peers)
    if arguments.build_only:
        return
    start = time.perf_counter()
    timings = {threads: measure(entries, peers, threads) for threads in sorted({1, os.cpu_count() or 1})}
    answering = {entry["key"]: entry["path"] for entry in entries if entry["path"] and not entry["error"]}
    compared = [answering[key] for key in benchmark_report.FIRST_ANSWERS_COMPARED if key in answering]
    first = first_answers(list(answering.values())) | first_answers(compared, COMPARED_FIRST_ANSWERS)
    for entry in entries:
        if entry["path"] and not entry["error"]:
            entry["bytes"] = Path(entry["path"]).stat().st_size
            entry |= first[entry["path"]]
        if is_tflite(entry) and not entry["error"] and entry["model"] in ("xs", "twin"):
            entry["peak_memory"] = float(np.median([peak_bytes(entry["path"]) for _ in range(3)]))
            if entry["name"].startswith("ours"):
                entry["ops"] = fastest_profile(entry["path"])
                entry["multiply_adds"] = multiply_adds(LiteModel.open(entry["path"]))
    facts: dict[str, Any] = commands(arguments.photographs)
    facts["core_flops"] = core_peak()
    facts["photographs"] = len(np.load(peers / "labels.npy"))
    facts["minutes"] = (time.perf_counter() - start) / 60
    facts["real_time"] = is_real_time()
    benchmark_report.write(ROOT / "tflite", entries, timings, facts)


if __name__ == "__main__":
    with native_stderr_silenced():
        main()
