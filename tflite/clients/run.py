"""Runs the shipped model in every recipe through real clients, and records which of them answer what Keras answers.

    python tflite/clients/run.py                          every client
    python tflite/clients/run.py --client arm64 --quick   one, with less of everything

Exit status 1 if an answer is wrong, or with `--strict` if a client had to be left out.
"""

import argparse
import dataclasses
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from environments import LeftOutError, venv
from judging import Result, Verdict, judge
from kit import Kit, make_kit
from tables import README, write_tables

from swiftformer_tf.native_logs import native_stderr_silenced

__all__ = ["CLIENTS", "Client"]

HERE = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Client:
    """One client.

    Args:
        name: Its script is `NAME_client.py`.
        title: For people.
        prepare: From a folder of its own to the interpreter that runs its script; raises `LeftOutError`.
    """

    name: str
    title: str
    prepare: Callable[[Path], Path]

    @property
    def script(self) -> Path:
        """What `prepare`'s interpreter runs."""
        return HERE / f"{self.name}_client.py"


def _prepares_itself(folder: Path) -> Path:
    """The script runs in this environment, and makes what else it needs."""
    return Path(sys.executable)


MEDIAPIPE = ("mediapipe==1.2.2", "numpy")

# tf2onnx reads TFLite files with TensorFlow.
ONNX = ("tf2onnx==1.17.0", "onnxruntime==1.32.0", "tensorflow-cpu==2.21.0")

# In the order of the tables.
CLIENTS: dict[str, Client] = {
    client.name: client
    for client in (
        Client("mediapipe", "MediaPipe Tasks", lambda folder: venv(folder / "venv", MEDIAPIPE)),
        Client("arm64", "ARM64 under qemu", _prepares_itself),
        Client("gpu", "GPU", _prepares_itself),
        Client("browser", "Browser", _prepares_itself),
        Client("runtimes", "Older runtimes", _prepares_itself),
        Client("openvino", "OpenVINO", lambda folder: venv(folder / "venv", ["openvino==2026.4.1", "numpy"])),
        Client("onnxruntime", "ONNX Runtime by tf2onnx", lambda folder: venv(folder / "venv", ONNX)),
        Client("ethosu", "Ethos-U by vela", lambda folder: venv(folder / "venv", ["ethos-u-vela==5.2.0"])),
    )
}


def run_client(client: Client, kit: Kit, folder: Path, *, quick: bool) -> Result:
    """Prepares a client, runs it, judges what it says."""
    start = time.monotonic()
    try:
        if not client.script.is_file():
            raise LeftOutError(f"no {client.script.name}")
        python = client.prepare(folder)
        said = ask(client, python, kit, folder, quick=quick)
    except LeftOutError as error:
        return Result(client.name, left_out=str(error), seconds=time.monotonic() - start)
    verdicts = tuple(judge(client.name, run, kit) for run in said["runs"])
    if missing := set(kit.recipes) - {verdict.recipe for verdict in verdicts}:
        reason = f"{client.script.name} said nothing of it"
        verdicts += tuple(Verdict(client.name, "", name, "failed", reason) for name in sorted(missing))
    return Result(
        client.name,
        versions=said.get("versions", {}),
        without=tuple(said.get("without", ())),
        verdicts=verdicts,
        seconds=time.monotonic() - start,
        date=datetime.date.today().isoformat(),
    )


def ask(client: Client, python: Path, kit: Kit, folder: Path, *, quick: bool) -> dict[str, Any]:
    """The JSON document that a client prints as its last line; what it prints before goes through, line by line.

    Raises:
        LeftOutError: The client said so, by `{"left_out": reason}`.
    """
    command = [str(python), str(client.script), str(kit.folder.resolve()), *(["--quick"] if quick else [])]
    environment = {**os.environ, "CLIENT_FOLDER": str(folder.resolve()), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONPATH", None)  # the client's packages, not ours
    last = ""
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        for last in process.stdout:
            if not last.startswith("{"):
                print(f"  {last}", end="", flush=True)
        status = process.wait()
        errors.seek(0)
        words = errors.read()
    try:
        if status:
            raise ValueError(f"exit status {status}")
        said = json.loads(last)
    except ValueError as error:
        tail = "\n".join(words.strip().splitlines()[-15:])
        runs = [{"variant": "", "recipe": name, "failed": f"the client died: {error}"} for name in kit.recipes]
        print(tail, file=sys.stderr)
        return {"runs": runs}
    if reason := said.get("left_out"):
        raise LeftOutError(reason)
    return said


def report(result: Result) -> None:
    """Says of a client what it did, one line a run."""
    if result.left_out:
        print(f"  LEFT OUT: {result.left_out}")
    for each in result.verdicts:
        figures = ""
        if each.photographs:
            figures = (
                f"{each.agreeing} of {each.photographs} labels, off by {each.difference:.1e}, {each.snr_db:.1f} dB"
            )
        said = " ".join(
            filter(None, [figures, each.reason, "(too old, according to the file)" if each.too_old else ""])
        )
        print(f"  {each.variant:22} {each.recipe:12} {each.status:8} {said}")
    for part in result.without:
        print(f"  left out: {part}")
    print(f"  {result.seconds:.0f} s", flush=True)


def main() -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--client", choices=list(CLIENTS), action="append", help="may be given many times; default: all"
    )
    parser.add_argument("--folder", type=Path, default=HERE.parents[1] / ".clients", help="for all that is installed")
    parser.add_argument("--images", type=Path, help="folder of photographs, instead of the default ones")
    parser.add_argument("--count", type=int, default=10, help="how many photographs; slow clients take fewer")
    parser.add_argument("--quick", action="store_true", help="less of everything; the tables stay as they are")
    parser.add_argument("--strict", action="store_true", help="fail where a client had to be left out")
    options = parser.parse_args()
    print("kit", flush=True)
    kit = make_kit(options.folder / "kit", count=options.count, images=options.images, quick=options.quick)
    results = []
    for name in options.client or CLIENTS:
        print(CLIENTS[name].title, flush=True)
        result = run_client(CLIENTS[name], kit, options.folder / name, quick=options.quick)
        (options.folder / f"{name}.json").write_text(json.dumps(dataclasses.asdict(result), indent=2) + "\n")
        report(result)
        results.append(result)
    if not options.quick:
        write_tables(README, results, list(kit.recipes))
    left_out = [result.client for result in results if result.left_out or result.without]
    bad = sum(len(result.bad) for result in results)
    right = sum(verdict.status == "right" for result in results for verdict in result.verdicts)
    print(f"{right} right, {bad} not" + (f", left out wholly or in part: {', '.join(left_out)}" if left_out else ""))
    return 1 if bad or (options.strict and left_out) else 0


if __name__ == "__main__":
    with native_stderr_silenced():
        sys.exit(main())
