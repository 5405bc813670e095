"""Makes pages of the website of files that lie beside the scripts whose results they hold.

mkdocs reads pages from `docs/` only. Links from and to these files are written as they are in the repository.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]

# Files of the repository, and where they are in the website.
OUTSIDE = {
    "convert/README.md": "results/parity.md",
    "tflite/README.md": "results/tflite.md",
    "tflite/benchmark.svg": "results/benchmark.svg",
    "tflite/clients/README.md": "results/clients.md",
}

# Where a link leads, without the heading behind `#`; neither another website nor a heading of the same page.
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)[^)#\s]+")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the files."""
    for path, uri in OUTSIDE.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links between files of the repository into links between pages."""
    places = {uri: path for path, uri in OUTSIDE.items()}
    uri = page.file.src_uri
    folder = posixpath.dirname(places.get(uri, f"docs/{uri}"))

    def link(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match[0]))
        target = OUTSIDE.get(path, path.removeprefix("docs/"))
        # What is in neither is left as it is, and `mkdocs build --strict` says so.
        return posixpath.relpath(target, posixpath.dirname(uri)) if files.get_file_from_path(target) else match[0]

    return LINK.sub(link, markdown)
