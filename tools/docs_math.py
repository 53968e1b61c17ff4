"""Formulas on the documentation site as MathML, which browsers draw and screen readers read without any script.

A Python-Markdown extension: pymdownx.arithmatex finds the formulas ($...$ and $$...$$), latex2mathml converts them.
"""

from __future__ import annotations

import html
from xml.etree import ElementTree

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor
from pymdownx.arithmatex import ArithmatexExtension

MARK = "arithmatex"
"""The class of what arithmatex has found."""
NAMESPACE = ' xmlns="http://www.w3.org/1998/Math/MathML"'
"""HTML knows `<math>` without it, and Python-Markdown would write it into every tag."""


class MathML(Treeprocessor):
    """Puts a `<math>` element in the place of the TeX in each formula."""

    def run(self, root: ElementTree.Element) -> None:
        for element in root.iter():
            if element.get("class") == MARK and element.text:
                block = element.tag == "div"
                tex = element.text.strip()[2:-2].strip()  # between \( and \), or \[ and \]
                math = convert(html.unescape(tex) if block else tex, display="block" if block else "inline")
                element.text = None
                element.append(ElementTree.fromstring(math.replace(NAMESPACE, "", 1)))


class DocsMath(Extension):
    """arithmatex, and MathML from what it found."""

    def extendMarkdown(self, md: Markdown) -> None:
        ArithmatexExtension(generic=True).extendMarkdown(md)
        md.treeprocessors.register(MathML(md), "mathml", 1)  # after inline patterns (20) and the rest


def makeExtension() -> Extension:
    return DocsMath()
