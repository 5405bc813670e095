"""Makes the package index's page of README.md: there, links between files lead nowhere, so they become addresses."""

import re
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

# A link or a picture, and where it leads; neither a website, a heading of the same page, nor code.
LINK = re.compile(r"(!?)(?<!\w)(\[[^\]]*\])\((?![a-z]+:|#)([^)\s]+)\)")


class ReadmeHook(MetadataHookInterface):
    """hatchling calls it when it builds a wheel or a source distribution (see pyproject.toml)."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Adds the readme to the project's metadata."""
        with open(f"{self.root}/README.md", encoding="utf-8") as file:
            text = with_addresses(file.read(), metadata["urls"]["Repository"])
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def with_addresses(text: str, repository: str) -> str:
    """The text with links to the repository's newest files in place of relative ones."""

    def address(match: re.Match[str]) -> str:
        kind = "raw" if match[1] else "blob"
        return f"{match[1]}{match[2]}({repository}/{kind}/HEAD/{match[3]})"

    return LINK.sub(address, text)
