"""No Python file uses what Windows lacks: read in the sources. What CI runs where is documented."""

import re
from pathlib import Path

import pytest
from support import TESTS
from support.windows import reason_to_skip, unix_only

# Each asks by other means, or runs in tests with a mark only.
ELSEWHERE = {
    "swiftformer_tf/litert/peak_memory.py": ["/proc/self/status"],  # where that exists
    "swiftformer_tf/training/memory.py": ["ctypes.CDLL(None)"],  # where there is glibc
    "convert/zoo_trial.py": ["signal.SIGKILL"],  # `make parity`, which needs a POSIX shell, as the clients do
    "tflite/clients/browser_client.py": ["signal.SIGKILL"],
    "tflite/clients/environments.py": [
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "/dev/null",
        "os.geteuid",
    ],
    "tflite/clients/gpu_client.py": ["/usr/lib/chromium/vk_swiftshader_icd.json"],
    "tflite/benchmark_report.py": ["/proc/cpuinfo"],  # where that exists
    "tflite/process_memory.py": ["/proc/self/status"],  # where that exists
    "tests/support/dying_worker.py": ["signal.SIGKILL"],
    "tests/support/fuzz.py": ["os.killpg", "signal.SIGKILL", "/proc/self/clear_refs", "/proc/self/status"],
    "tests/support/forks.py": ["os.killpg", "signal.SIGKILL", "os.fork"],  # on Linux alone
    "tests/support/killed_commands.py": ["signal.SIGKILL"],
    "tests/support/training_runs.py": ["signal.SIGKILL"],
}
# They hold such names as text.
THIS_CHECK = {Path(__file__), TESTS / "support" / "windows.py"}


def test_nothing_is_used_that_windows_lacks() -> None:
    root = TESTS.parent
    folders = ("swiftformer_tf", "tests", "convert", "docs", "examples", "tflite")
    sources = {path for folder in folders for path in (root / folder).rglob("*.py")} - THIS_CHECK
    found = {path.relative_to(root).as_posix(): unix_only(path.read_text("utf-8")) for path in sorted(sources)}
    assert {name: names for name, names in found.items() if names} == ELSEWHERE


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import resource", ["resource"]),
        ("def f():\n    from os import fork", ["os.fork"]),
        ("try:\n    pass\nexcept OSError:\n    import fcntl", ["fcntl"]),
        ("import sys\nif sys.platform != 'win32':\n    import resource", []),
        ("import sys\nif sys.platform == 'win32':\n    import resource", ["resource"]),
        ("import sys\nif sys.platform == 'win32':\n    pass\nelse:\n    import resource", []),
        ("def f():\n    if sys.platform == 'win32':\n        return\n    import resource", []),
        ("def f():\n    if sys.platform == 'win32':\n        pytest.skip('x')\n    import resource", []),
        ("def f():\n    if sys.platform == 'win32':\n        print('x')\n    import resource", ["resource"]),
        ("def f():\n    import os\n    return os.getuid()", ["os.getuid"]),
        ("class A:\n    x = signal.SIGKILL", ["signal.SIGKILL"]),
        ("x = signal.SIGTERM, signal.SIG_IGN", []),
        ("x = open('/proc/self/status')", ["/proc/self/status"]),
        ("x = ctypes.CDLL(None)", ["ctypes.CDLL(None)"]),
        ("x = [str(path.relative_to(root)) for path in paths]", ["str(path.relative_to(root))"]),
        ("x = f'package/{path.relative_to(root)}'", ["str(path.relative_to(root))"]),
        ("x = path.relative_to(root).as_posix(), f'{path.relative_to(root).as_posix()}', str(path)", []),
        ("@pytest.mark.posix\ndef test():\n    os.fork()", []),
        ("@pytest.mark.linux\n@pytest.mark.parametrize('x', [1])\ndef test(x):\n    os.fork()", []),
        ("@pytest.mark.slow\ndef test():\n    os.fork()", ["os.fork"]),
        ("x = [pytest.param('/proc/self', marks=pytest.mark.linux), '/dev/full']", ["/dev/full"]),
        ("import pty\npytestmark = pytest.mark.posix\ndef test():\n    os.fork()", ["pty"]),
    ],
)
def test_the_check_finds_what_it_should(source: str, expected: list[str]) -> None:
    assert unix_only(source) == expected


def test_the_page_lists_every_job() -> None:
    root = TESTS.parent
    jobs = {
        path.name: re.findall(r"^  ([\w-]+):$", path.read_text("utf-8").partition("\njobs:\n")[2], re.MULTILINE)
        for path in (root / ".github" / "workflows").glob("*.yml")
    }
    told: dict[str, list[str]] = {}
    table = (root / "docs" / "support.md").read_text("utf-8").partition("## What CI would run")[2]
    for workflow, job in re.findall(r"^\| (?:`([\w.]+)`)? ?\| (?:`([\w-]+)`)?", table, re.MULTILINE):
        if workflow:
            told[workflow] = []
        if job:
            told[list(told)[-1]].append(job)
    assert told == jobs


@pytest.mark.parametrize(
    ("mark", "system", "reason"),
    [
        ("posix", "linux", None),
        ("posix", "darwin", None),
        ("posix", "win32", "needs what Windows lacks"),
        ("linux", "linux", None),
        ("linux", "darwin", "needs Linux"),
        ("linux", "win32", "needs Linux"),
        ("parametrize", "win32", None),
    ],
)
def test_marked_tests_are_skipped_where_they_cannot_run(mark: str, system: str, reason: str | None) -> None:
    said = reason_to_skip({mark}, system)
    assert said is None if reason is None else str(said).startswith(reason)
