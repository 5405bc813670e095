"""Downloads weights from the Hugging Face hub with `huggingface_hub`, verifies them, and keeps them in its cache."""

import hashlib
import re
from pathlib import Path
from typing import Any

from swiftformer_tf.checkpoints.folders import CONFIG, INDEX, PROCESSOR, WEIGHTS, shards
from swiftformer_tf.errors import CheckpointError, how_to_install, one_line

__all__ = ["fetch", "is_hub_id"]

_ID = re.compile(r"([A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*)(?:@([\w][\w./-]*))?", re.ASCII)

# Names that end like this refer to files, whether they exist or not.
_FILES = (".keras", ".tflite", ".safetensors", ".pth", ".pt", ".bin", ".h5", ".json")


def is_hub_id(name: str | Path) -> bool:
    """Whether a name means `OWNER/NAME` or `OWNER/NAME@REVISION` on the hub, because no such path exists locally.

    Examples:
        >>> is_hub_id("timm/swiftformer_xs.dist_in1k"), is_hub_id("weights/swiftformer_xs.pth"), is_hub_id("xs")
        (True, False, False)
    """
    text = str(name)
    return bool(_ID.fullmatch(text)) and not text.lower().endswith(_FILES) and not Path(text).exists()


def fetch(name: str | Path) -> Path:
    """Returns the folder in `huggingface_hub`'s cache with a repository's configuration and weights.

    `HF_ENDPOINT`, the cache and the token are `huggingface_hub`'s own settings. Each file is compared with its checksum
    on the hub. An interrupted download is resumed. If the hub cannot be reached, the files in the cache are used.

    Args:
        name: `OWNER/NAME`, or with the branch, tag or commit `OWNER/NAME@REVISION`.

    Raises:
        CheckpointError: `huggingface_hub` is not installed, the repository or revision does not exist or contains no
            weights, or the download was interrupted or damaged.
    """
    try:
        import huggingface_hub
        from huggingface_hub.errors import OfflineModeIsEnabled
    except ImportError:
        raise CheckpointError(
            f"{name}: no such file or folder here; to load an id from the Hugging Face Hub, install huggingface_hub: "
            f"{how_to_install('huggingface_hub')}"
        ) from None
    match = _ID.fullmatch(str(name))
    if not match:
        raise CheckpointError(f"{name}: expected OWNER/NAME or OWNER/NAME@REVISION, an id on the Hugging Face Hub")
    repository, revision = match[1], match[2]
    api = huggingface_hub.HfApi()
    try:
        listing = api.model_info(repository, revision=revision, files_metadata=True)
    except huggingface_hub.errors.HfHubHTTPError as error:
        raise CheckpointError(
            f"{name}: no such file or folder here, and the hub at {api.endpoint} refused it: {_said(error)}"
        ) from None
    except Exception as error:  # no connection, in the words of whichever HTTP client the installed version has
        offline = isinstance(error, OfflineModeIsEnabled)
        return _cached(huggingface_hub, name, repository, revision, "offline" if offline else _said(error))
    return _Repository(name, repository, revision, api, listing).fetch()


class _Repository:
    """The files that the hub lists for a repository, and their download."""

    def __init__(self, name: str | Path, repository: str, revision: str | None, api: Any, listing: Any) -> None:
        self.name, self.repository, self.revision, self.api = name, repository, revision, api
        self.files = {sibling.rfilename: sibling for sibling in listing.siblings or ()}

    def fetch(self) -> Path:
        weights = next((file for file in WEIGHTS if file in self.files), None)
        if weights is None:
            raise CheckpointError(f"{self.name}: holds no weights; expected one of {', '.join(WEIGHTS)} in it")
        for file in (CONFIG, PROCESSOR):
            if file in self.files:
                self.get(file)
        path = self.get(weights)
        if weights.endswith(INDEX):
            for shard in sorted(set(shards(path).values())):
                if shard not in self.files:
                    raise CheckpointError(f"{self.name}: {shard} is missing, although {weights} names it")
                self.get(shard)
        return path.parent

    def get(self, file: str) -> Path:
        try:
            path = Path(self.api.hf_hub_download(self.repository, file, revision=self.revision))
        except Exception as error:  # no connection, in the words of whichever HTTP client the installed version has
            raise CheckpointError(
                f"{self.name}: {file} could not be downloaded from {self.api.endpoint} ({_said(error)}); what has "
                "arrived is kept, and the next try continues from there"
            ) from None
        _check(path, self.files[file], f"{self.name}: {file}")
        return path


def _cached(hub: Any, name: str | Path, repository: str, revision: str | None, why: str) -> Path:
    try:
        return Path(hub.snapshot_download(repository, revision=revision, local_files_only=True))
    except Exception:  # nothing there, which is said of the file system and of the network alike
        raise CheckpointError(
            f"{name}: no such file or folder here or in the cache, and the hub at {hub.HfApi().endpoint} cannot be "
            f"reached ({why})"
        ) from None


def _check(path: Path, listed: Any, what: str) -> None:
    """Compares a file with the hub's checksum: SHA-256 of large files, git's of small ones."""
    content = path.read_bytes()
    if listed.lfs:
        expected, found = listed.lfs.sha256, hashlib.sha256(content).hexdigest()
    else:
        header = b"blob %d\0" % len(content)
        expected, found = listed.blob_id, hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
    if found != expected:
        # The link in the snapshot, and what it leads to.
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise CheckpointError(
            f"{what} was damaged during the download: its checksum is {found[:12]}..., the hub's is "
            f"{expected[:12]}...; the copy was removed, try again"
        )


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {one_line(text, 300)}" if text else type(error).__name__
