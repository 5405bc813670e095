"""Where clients live: environments of PyPI, Debian and npm packages, each in a folder of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["LeftOutError", "debian_command", "debian_unpacked", "filled", "npm", "run", "venv", "wheels"]


class LeftOutError(Exception):
    """A client cannot run here; the message says what is missing and how to get it."""


def run(command: Sequence[str | Path], *, cwd: Path | None = None) -> str:
    """Standard output of an installing command.

    Raises:
        LeftOutError: It failed; the end of what it said.
    """
    try:
        result = subprocess.run([str(each) for each in command], cwd=cwd, capture_output=True, text=True, check=False)
    except OSError as error:
        raise LeftOutError(f"{command[0]}: {error.strerror}") from None
    if result.returncode:
        said = (result.stderr or result.stdout).strip().splitlines()[-3:]
        raise LeftOutError(f"{' '.join(str(each) for each in command[:4])} ... failed: {' '.join(said)}")
    return result.stdout


def filled(folder: Path, wanted: object, fill: Callable[[Path], None]) -> Path:
    """A folder that `fill` has filled, now or in an earlier run that wanted the same."""
    stamp = folder / "installed.json"
    if not stamp.is_file() or stamp.read_text() != json.dumps(wanted):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        fill(folder)
        stamp.write_text(json.dumps(wanted))  # last: a folder without it is not full
    return folder


def venv(folder: Path, requirements: Sequence[str], *, python: str | Path = sys.executable) -> Path:
    """A virtual environment with some packages from PyPI; its interpreter.

    Raises:
        LeftOutError: The packages cannot be installed.
    """

    def fill(folder: Path) -> None:
        # This environment's pip works on the other: to give each its own takes longer than most packages.
        run([python, "-m", "venv", "--without-pip", folder])
        pip: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--python",
            folder / "bin" / "python",
        ]
        run([*pip, "install", "--quiet", "--no-input", *requirements])

    return filled(folder, [str(python), *requirements], fill) / "bin" / "python"


def npm(folder: Path, packages: Sequence[str]) -> Path:
    """A folder whose `node_modules` holds some packages from npm.

    Raises:
        LeftOutError: There is no npm, or the packages cannot be installed.
    """

    def fill(folder: Path) -> None:
        (folder / "package.json").write_text('{"private": true}\n')
        run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages], cwd=folder)

    if not shutil.which("npm"):
        raise LeftOutError("no npm: install Node.js")
    return filled(folder, list(packages), fill)


def wheels(folder: Path, requirements: Sequence[str], *, python_version: str, platforms: Sequence[str]) -> None:
    """Unpacks wheels of another machine's kind from PyPI into a folder.

    Raises:
        LeftOutError: There are none.
    """
    chosen = [f"--platform={platform}" for platform in platforms]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--only-binary=:all:"]
    run([*pip, *chosen, f"--python-version={python_version}", "--target", folder, *requirements])


def debian_unpacked(
    folder: Path, packages: Sequence[str], *, suite: str, architecture: str, dependencies: bool = True
) -> None:
    """Unpacks Debian packages of any release and architecture into a folder; this machine's own stay untouched.

    Raises:
        LeftOutError: This is not Debian, or it has no such packages.
    """
    keys = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if not shutil.which("apt-get") or not keys.is_file():
        raise LeftOutError(f"needs Debian's {', '.join(packages)} for {architecture}, and this is not Debian")
    # From wherever this machine gets its own.
    targets = run(["apt-get", "indextargets", "--format", "$(REPO_URI)"]).split()
    mirror = next((each for each in targets if each.rstrip("/").endswith("/debian")), None)
    if mirror is None:
        raise LeftOutError("apt knows no Debian archive")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as private:
        apt = Path(private).resolve()
        for each in ("state/lists/partial", "cache/archives/partial"):
            (apt / each).mkdir(parents=True)
        (apt / "status").touch()
        (apt / "debian.sources").write_text(
            f"Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\n"
            f"Architectures: {architecture}\nSigned-By: {keys}\n"
        )
        settings = {
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",
            "Debug::NoLocking": "1",
            "Dir::State": apt / "state",
            "Dir::State::status": apt / "status",
            "Dir::Cache": apt / "cache",
            "Dir::Etc::SourceList": apt / "debian.sources",
            "Dir::Etc::SourceParts": "/dev/null",
        }
        command = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
        run([*command, "update"])
        if dependencies:
            run([*command, "-y", "--download-only", "install", *packages])
        else:
            run([*command, "download", *packages], cwd=apt / "cache" / "archives")
        for package in sorted((apt / "cache" / "archives").glob("*.deb")):
            run(["dpkg-deb", "-x", package, folder])


def debian_command(command: str, package: str) -> Path:
    """A command of a Debian package, which is installed where this is Debian and one may.

    Raises:
        LeftOutError: It is not there and cannot be installed.
    """
    if found := shutil.which(command):
        return Path(found)
    cure = f"no {command}: install it, on Debian with apt-get install {package}"
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise LeftOutError(cure)
    try:
        run(["apt-get", "-qq", "update"])
        run(["apt-get", "-qq", "-y", "--no-install-recommends", "install", package])
    except LeftOutError as error:
        raise LeftOutError(f"{cure} ({error})") from None
    if not (found := shutil.which(command)):
        raise LeftOutError(cure)
    return Path(found)
