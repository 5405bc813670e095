"""What a run of the zoo says of a model that failed: one line, and for an unexpected error where it was raised."""

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from swiftformer_tf.errors import SwiftFormerError, one_line

Library = TypeVar("Library")

# Their messages say all there is to say: what is wrong with a model, or that the network is gone.
KNOWN = (SwiftFormerError, HfHubHTTPError, LocalEntryNotFoundError, ConnectionError, TimeoutError)

# So do the network errors of the Hub's client, which was another in other versions, and has types of its own.
CLIENTS = {"httpx2": "TransportError", "httpx": "TransportError", "requests": "RequestException"}


class ZooError(SwiftFormerError):
    """A model that is not what its library computes, or has none to compare with."""


def library_for(name: str, key_layout: str, libraries: Mapping[str, Library]) -> Library:
    """Returns the library that computes what a model's checkpoint means.

    Args:
        name: The model's id on the hub.
        key_layout: The key layout of its checkpoint.
        libraries: The libraries by key layout.

    Raises:
        ZooError: No library has this key layout.
    """
    if key_layout not in libraries:
        raise ZooError(
            f"{name}: key layout {key_layout}, which no library loads; expected {' or '.join(libraries)}; "
            f"`swiftformer-tf export {name}` works without a library"
        )
    return libraries[key_layout]


def _is_known(problem: Exception) -> bool:
    # A client that has raised something has been imported.
    clients = [getattr(sys.modules[module], name) for module, name in CLIENTS.items() if module in sys.modules]
    return isinstance(problem, (*KNOWN, *clients))


def explain(name: str, problem: Exception, log: Path) -> str:
    """Returns one line that names the model; what is not known may be our own bug: its traceback goes to a file.

    Args:
        name: The model's id on the hub.
        problem: What ended its work.
        log: Where the traceback goes.
    """
    text = one_line(" ".join(str(problem).split()))
    if isinstance(problem, SwiftFormerError):
        return text if text.startswith(name) else f"{name}: {text}"
    line = f"{name}: {type(problem).__name__}: {text}"
    if _is_known(problem):
        return line
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(traceback.format_exception(problem)), "utf-8")
    return f"{line} (traceback: {log})"
