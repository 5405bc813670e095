"""What a run of the zoo says of a model that failed: a line, and for what nobody foresaw, where it came from."""

import traceback
from pathlib import Path

from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from swiftformer_tf.errors import SwiftFormerError, one_line

# Their messages say all there is to say: what is wrong with a model, or that the network is gone.
KNOWN = (SwiftFormerError, HfHubHTTPError, LocalEntryNotFoundError, ConnectionError, TimeoutError)


def explain(name: str, problem: Exception, log: Path) -> str:
    """Returns one line that names the model; what is none of `KNOWN` may be our own bug: its traceback goes to a file.

    Args:
        name: The model's id on the hub.
        problem: What ended its work.
        log: Where the traceback goes.
    """
    text = one_line(" ".join(str(problem).split()))
    if isinstance(problem, SwiftFormerError):
        return text if text.startswith(name) else f"{name}: {text}"
    line = f"{name}: {type(problem).__name__}: {text}"
    if isinstance(problem, KNOWN):
        return line
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(traceback.format_exception(problem)), "utf-8")
    return f"{line} (traceback: {log})"
