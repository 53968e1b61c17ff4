"""The list of pages in docs/index.md, by kind and with the question of each: python -m tools.docs_index

Kinds and titles are those of the navigation in zensical.toml; a question is the italic line under a page's title.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from benchmarks.page import fill
from benchmarks.rounds import ROOT

DOCS = ROOT / "docs"
INDEX = DOCS / "index.md"
QUESTION = re.compile(r"\A# [^\n]+\n\n\*([^*\n]+\?)\*\n")


def kinds() -> dict[str, dict[str, str]]:
    """Kind of page -> file -> title, as the navigation has them; the home page is of no kind."""
    nav = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    groups = {name: pages for group in nav for name, pages in group.items() if isinstance(pages, list)}
    return {name: {path: title for page in pages for title, path in page.items()} for name, pages in groups.items()}


def question(page: Path) -> str | None:
    """What a page answers, or None where it does not say it first."""
    found = QUESTION.match(page.read_text(encoding="utf-8"))
    return found[1] if found else None


def listed(text: str) -> str:
    """The index with the list of all pages."""
    parts = [
        f"**{kind}**\n\n" + "\n".join(f"- [{title}]({path}): {question(DOCS / path)}" for path, title in pages.items())
        for kind, pages in kinds().items()
    ]
    return fill(text, "pages", "\n\n".join(parts))


if __name__ == "__main__":
    INDEX.write_text(listed(INDEX.read_text(encoding="utf-8")), encoding="utf-8")
