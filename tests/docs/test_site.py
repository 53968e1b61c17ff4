"""Law: the site builds without a warning, holds every page, command and public name, and asks no other server for anything.

Needs the extra `docs`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from html import unescape
from pathlib import Path

import click
import pytest
from tests.docs.pages import ROOT
from tools.docs_headers import MARK, header

import polyprefix
from polyprefix.cli import command

pytest.importorskip("zensical", reason="no zensical here: pip install 'polyprefix[docs]'")
pytest.importorskip("mkdocstrings", reason="no mkdocstrings here: pip install 'polyprefix[docs]'")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, for the site's folder and the cache stand beside the pages."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("docs", "src", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "zensical.toml"):
        shutil.copy(ROOT / name, folder)
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(folder / "src")}, capture_output=True, text=True,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert not re.search("warning|could not|error", said, re.IGNORECASE), said
    return folder / "build" / "site"


def test_every_page_is_built_and_in_the_navigation(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    nav = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    assert pages == set(re.findall(r"'([\w-]+)\.md'", str(nav)))
    assert pages | {"404"} == {path.stem for path in site.glob("*.html")}


def test_every_command_has_its_options(site: Path) -> None:
    html = (site / "commands.html").read_text(encoding="utf-8")

    def check(group: click.Group, path: str) -> None:
        for name, found in group.commands.items():
            if isinstance(found, click.Group):
                check(found, f"{path} {name}")
                continue
            start = html.index(f'>{path} {name}<a class="headerlink"')
            section = html[start : (html + "<h2").index("<h2", start)]
            for parameter in found.params:
                if isinstance(parameter, click.Option):
                    assert parameter.opts[0] in section, f"{path} {name} {parameter.opts[0]}"
            assert section.count("<table") == 1 and "Sentinel" not in section

    check(command, "polyprefix")


def test_every_public_name_has_its_place(site: Path) -> None:
    html = (site / "api.html").read_text(encoding="utf-8")
    for name in polyprefix.__all__:
        assert f'id="polyprefix.{name}"' in html, name


def test_a_page_shows_the_headers_that_it_names(site: Path) -> None:
    """Law: what a module says of itself is on the page, in its own lines."""
    marks = [
        (page.stem, file) for page in (ROOT / "docs").glob("*.md") for file in MARK.findall(page.read_text("utf-8"))
    ]
    assert len(marks) > 20
    pages = {name: (site / f"{name}.html").read_text(encoding="utf-8") for name in {name for name, _ in marks}}
    shown = {name: unescape(re.sub("<[^>]+>", "", page)) for name, page in pages.items()}
    assert not [mark for mark in marks if header(mark[1]) not in shown[mark[0]]]


def test_pages_ask_no_other_server(site: Path) -> None:
    for page in site.glob("*.html"):
        html = page.read_text(encoding="utf-8")
        found = re.findall(r"<(?:script|img|iframe)[^>]+src=\"?(?:https?:)?//[^\s>]+", html)
        found += re.findall(r"<link[^>]+rel=\"?(?:stylesheet|preconnect|preload)[^>]+(?:https?:)?//[^\s>]+", html)
        assert not found, page.name


def test_formulas_are_mathml(site: Path) -> None:
    html = (site / "statistics.html").read_text(encoding="utf-8")
    assert html.count("<math") > 20 and not re.search(r"\\\(|\\\[|\\frac", html)


def test_no_markup_is_left_in_a_page(site: Path) -> None:
    """What one kind of Markdown knows and another does not."""
    for page in site.glob("*.html"):
        text = re.sub(r"(?s)<pre.*?</pre>|<script.*?</script>", "", page.read_text(encoding="utf-8"))
        for markup in ("\\|", "--8&lt;--", "```", "<p>::: ", "http://www.w3.org/1998/Math/MathML}"):
            assert markup not in text, f"{page.name}: {markup}"
