"""Headers of modules on the documentation site: what a file says of itself stands in the file alone.

A Python-Markdown extension: the line `<!-- header tasks/xnli.py -->` becomes the docstring of that module of `src/polyprefix`.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from markdown import Markdown
from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor

SOURCE = Path(__file__).parents[1] / "src" / "polyprefix"
MARK = re.compile(r"<!-- header (\S+\.py) -->")


def header(file: str) -> str:
    """The docstring of a module, by its path in the package.

    Raises:
        ValueError: if it has none.
    """
    text = ast.get_docstring(ast.parse((SOURCE / file).read_text(encoding="utf-8")))
    if not text:
        raise ValueError(f"{file} has no docstring")
    return text


class Headers(Preprocessor):
    """Puts a header in the place of each mark, in its own lines: its tables and formulas are aligned by spaces."""

    def run(self, lines: list[str]) -> list[str]:
        written: list[str] = []
        for line in lines:
            found = MARK.fullmatch(line.strip())
            written.extend(["", "```text", *header(found[1]).split("\n"), "```", ""] if found else [line])
        return written


class DocsHeaders(Extension):
    """Headers of modules."""

    def extendMarkdown(self, md: Markdown) -> None:
        md.preprocessors.register(Headers(md), "headers", 100)  # before fences (25)


def makeExtension() -> Extension:
    return DocsHeaders()
