"""Ports every published SwiftFormer, proves it against its own library, exports and verifies it, ready for the hub.

    python convert/zoo.py -o zoo                                     all of them, on scikit-image's photographs
    python convert/zoo.py timm/swiftformer_xs.dist_in1k -o zoo --photographs imagenet

`--photographs FOLDER` has `train/` to calibrate on and `val/` to verify on. If `val/` has one folder per class, named
as one of the model's labels or by its WordNet id, the files are also evaluated on it. Each model gets a folder in
Hugging Face's form, for `hf upload`, and `zoo/README.md` has one table of all. What is finished is not done again: the
same command continues after an interruption. Exit status 1 if a download, a library, a comparison or a check of a file
failed; the other models are processed all the same. The traceback of an unexpected error is written to `zoo/MODEL.log`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zoo_card
import zoo_failures

from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.recipes import RECIPES

PUBLISHED = (
    *(f"timm/swiftformer_{variant}.dist_in1k" for variant in ("xs", "s", "l1", "l3")),
    *(f"MBZUAI/swiftformer-{variant}" for variant in ("xs", "s", "l1", "l3")),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(PUBLISHED), metavar="MODEL", help="ids on the hub")
    parser.add_argument("-o", "--output", type=Path, default=Path("zoo"))
    parser.add_argument("--photographs", type=Path, help="with train/ and val/; default: scikit-image's pictures")
    parser.add_argument("--recipe", choices=list(RECIPES), action="append", help="default: all of them")
    given = parser.parse_args(arguments)
    for part in ("train", "val") if given.photographs else ():
        if not (given.photographs / part).is_dir():
            parser.exit(2, f"--photographs {given.photographs}: no folder {part} in it; expected train/ and val/\n")
    # Takes seconds: nobody waits for PyTorch to hear of a misspelled folder.
    from zoo_proof import Options, home_of, prove, unmet

    options = Options(given.output, tuple(RECIPES[each] for each in given.recipe or RECIPES), given.photographs)
    proven: list[dict[str, Any]] = []
    failed: list[str] = []
    for done, name in enumerate(given.models, 1):
        print(f"{name} ...", flush=True)
        log = Path(f"{home_of(name, options)}.log")
        try:
            with native_stderr_silenced():
                state = prove(name, options)
        except Exception as problem:  # timm's, transformers' and the hub's have no type in common
            lines = [zoo_failures.explain(name, problem, log)]
        else:
            log.unlink(missing_ok=True)
            proven.append(state)
            print(f"ok    logits within {state['logits']:.1e}", flush=True)
            lines = unmet(name, state)
        for line in lines:
            print(f"FAIL  {line}", flush=True)
        failed += lines
        # After each model, since what ends a run early leaves no time for a table.
        waiting = [f"{later}: not done yet" for later in given.models[done:]]
        zoo_card.write_table(given.output, proven, failed + waiting)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
