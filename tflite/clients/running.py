"""What the scripts of clients share that run `interpreting.py` somewhere else."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from environments import LeftOutError

__all__ = ["interpret", "recipe_names", "run_json", "say"]

INTERPRETING = Path(__file__).with_name("interpreting.py")
TIMEOUT = 600


def recipe_names(kit: Path) -> list[str]:
    """The recipes of a kit."""
    return list(json.loads((kit / "kit.json").read_text())["recipes"])


def say(main: Callable[..., dict[str, Any]]) -> None:
    """A client's command: prints what `main(kit, quick=...)` returns, or why the client is left out."""
    try:
        said = main(Path(sys.argv[1]), quick="--quick" in sys.argv)
    except LeftOutError as error:
        said = {"left_out": str(error)}
    print(json.dumps(said))


def interpret(
    python: Sequence[str | Path], kit: Path, recipe: str, count: int, *, variant: str, environment: Mapping[str, str]
) -> dict[str, Any]:
    """Runs one recipe on `count` photographs in a process of its own, since an old or emulated runtime may crash.

    Args:
        python: The command that starts the interpreter of Python.
        kit: Folder of the kit.
        recipe: Its name.
        count: How many photographs.
        variant: How the tables name the runtime.
        environment: Variables of the process, all of them.
    """
    command = [*python, INTERPRETING, kit, recipe, count]
    return run_json(command, variant=variant, recipe=recipe, environment=environment)


def run_json(command: Sequence[object], *, variant: str, recipe: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """A run from the last line that a process prints; how it ended, where that is all there is."""
    try:
        result = subprocess.run(
            [str(each) for each in command], env=environment, capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return {"variant": variant, "recipe": recipe, "failed": f"no answer within {TIMEOUT} s"}
    if result.returncode < 0:
        reason = f"crashed with {signal.Signals(-result.returncode).name}"
        return {"variant": variant, "recipe": recipe, "failed": reason}
    if result.returncode:
        said = result.stderr.strip().splitlines() or [""]
        return {"variant": variant, "recipe": recipe, "failed": f"exit status {result.returncode}: {said[-1]}"}
    return {"variant": variant, **json.loads(result.stdout.strip().splitlines()[-1])}
