"""What mkdocs adds to the pages in docs: the reference, its navigation, the commands, the picture of the rooms.

A hook named in mkdocs.yml; nothing it makes is kept in the repository.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parents[1]))

from tools import architecture, commands, reference

ROOMS = "<!-- the rooms -->"
"""Where docs/architecture.md holds the table of rooms."""


def generated() -> dict[str, str]:
    """Path in docs → text of every file that is made, not kept."""
    return {
        **reference.pages(),
        "command-line.md": commands.page(),
        "images/architecture.svg": architecture.picture(),
    }


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Navigation: the entry "Reference" gets its pages."""
    for entry in config.nav or []:
        if isinstance(entry, dict) and "Reference" in entry:
            entry["Reference"] = reference.navigation()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files that are made."""
    for path, text in generated().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The table of rooms, on the page that asks for it."""
    return markdown.replace(ROOMS, reference.table_of_rooms())
