r"""Code in tables of the documentation site: GitHub's Markdown needs `\|` there, Python-Markdown would show the backslash."""

from __future__ import annotations

from xml.etree import ElementTree

from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor
from markdown.util import AtomicString


class PlainPipes(Treeprocessor):
    """Takes the backslash from each pipe in code in a cell."""

    def run(self, root: ElementTree.Element) -> None:
        for cell in root.iter("td"):
            for code in cell.iter("code"):
                code.text = AtomicString((code.text or "").replace("\\|", "|"))


class DocsTables(Extension):
    """Tables as GitHub reads them."""

    def extendMarkdown(self, md: Markdown) -> None:
        md.treeprocessors.register(PlainPipes(md), "plain-pipes", 2)  # after inline patterns (20)


def makeExtension() -> Extension:
    return DocsTables()
