"""The kernels of 64-bit ARM, LiteRT's own wheel for aarch64, on processors that qemu emulates.

Debian's Python for arm64 and qemu 10 of Debian 13 are unpacked into a folder: qemu 7.2, Debian 12's, computes some int8
kernels wrongly and makes LiteRT crash.
"""

import concurrent.futures
import importlib.metadata
import os
from pathlib import Path
from typing import Any

from environments import debian_unpacked, filled, run, wheels
from running import interpret, recipe_names, say

__all__ = ["PROCESSORS", "prepare"]

# From the small core of a cheap phone to a server's; `max` is everything that qemu can emulate.
PROCESSORS = ("cortex-a53", "cortex-a76", "neoverse-n2", "max")

PYTHON = "3.11"
PACKAGES = (
    *("python3-minimal", "libpython3.11-stdlib"),
    *("libstdc++6", "libgcc-s1", "libgomp1", "zlib1g", "libatomic1"),
)
PLATFORMS = tuple(f"manylinux{version}_aarch64" for version in ("_2_28", "_2_27", "_2_17", "2014"))
# In the versions of this machine, whose LiteRT made what the results are compared with.
DISTRIBUTIONS = (
    *("ai-edge-litert", "numpy", "flatbuffers", "protobuf"),
    *("tqdm", "typing-extensions", "backports.strenum"),
)

# A float model takes seconds a photograph, and an integer result is equal or it is not.
COUNTS = {"int8": 6}
FEW = 2


def prepare(folder: Path) -> None:
    """Unpacks Python, qemu and LiteRT."""
    requirements = [f"{name}=={importlib.metadata.version(name)}" for name in DISTRIBUTIONS]

    def fill(folder: Path) -> None:
        debian_unpacked(folder / "root", PACKAGES, suite="bookworm", architecture="arm64")
        debian_unpacked(folder / "qemu", ["qemu-user"], suite="trixie", architecture="amd64", dependencies=False)
        wheels(folder / "site", requirements, python_version=PYTHON, platforms=PLATFORMS)

    filled(folder, [*PACKAGES, *requirements], fill)


def main(kit: Path, *, quick: bool) -> dict[str, Any]:
    """What the client says."""
    folder = Path(os.environ["CLIENT_FOLDER"], "arm64")
    prepare(folder)
    qemu = folder / "qemu" / "usr" / "bin" / "qemu-aarch64"
    python = folder / "root" / "usr" / "bin" / f"python{PYTHON}"
    environment = {"PYTHONPATH": str(folder / "site"), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
    # The slow ones first, so that the two workers end together.
    names = sorted(recipe_names(kit), key=lambda name: name == "int8")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        started = [
            pool.submit(
                interpret,
                [qemu, "-cpu", processor, "-L", folder / "root", python, "-S"],
                kit,
                name,
                FEW if quick else COUNTS.get(name, FEW),
                variant=processor,
                environment=environment,
            )
            for processor in (PROCESSORS[1:2] if quick else PROCESSORS)
            for name in names
        ]
        said = [each.result() for each in started]
    emulator = run([qemu, "--version"]).split()[2]
    versions = {"ai-edge-litert for aarch64": importlib.metadata.version("ai-edge-litert"), "qemu-user": emulator}
    return {"versions": versions, "runs": said}


if __name__ == "__main__":
    say(main)
