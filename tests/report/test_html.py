"""Law: the report is one file that asks for nothing, escapes everything, and can be read aloud by a machine."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from polyprefix.errors import OutputError
from polyprefix.report.format import interval, percent, signed
from polyprefix.report.html import write_html
from polyprefix.report.summary import Summary, summarise

WriteRun = Callable[..., Path]

CODES = ["eng_Latn", "swh_Latn", "arb_Arab", "zho_Hant"]
EVIL = "<script>alert(\"1\")</script> & 'quotes' نعم 🙂 </style> {{ 7 * 7 }}"
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """The elements and the visible text of a page; refuses tags that do not close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


@pytest.fixture
def summary(write_run: WriteRun) -> Summary:
    base = write_run("base", CODES, 0.3, method={"name": "none"})
    return summarise(write_run("adapted", CODES, 0.8, notes=(EVIL,), model=EVIL), base)


def page_of(summary: Summary, folder: Path) -> str:
    write_html(summary, folder / "new" / "report.html")
    return (folder / "new" / "report.html").read_text(encoding="utf-8")


def test_everything_is_escaped(summary: Summary, tmp_path: Path) -> None:
    text = page_of(summary, tmp_path)
    page = Page(text)
    assert page.count("script") == 1 and page.count("style") == 1
    assert page.text.count(EVIL) == 4  # heading, note, setting, and the note on the base's model
    assert "alert(" not in text.replace("&lt;script&gt;alert(", "")


def test_nothing_is_requested(summary: Summary, tmp_path: Path) -> None:
    text = page_of(summary, tmp_path)
    page = Page(text)
    assert not {name for _, attributes in page.elements for name in attributes} & {"src", "srcset", "action", "data"}
    assert all((attributes.get("href") or "#").startswith("#") for _, attributes in page.elements)
    assert "http:" not in text and "https:" not in text and "url(" not in text and "@import" not in text
    policy = [a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy and (policy[0] or "").startswith("default-src 'none'")


def test_all_figures_are_there(summary: Summary, tmp_path: Path) -> None:
    text = Page(page_of(summary, tmp_path)).text
    for row in summary.rows:
        assert row.difference and row.base
        assert row.language.name in text
        for figure in (percent(row.adapted.value), interval(row.adapted.ci95), interval(row.base.ci95),
                       signed(row.difference.value), interval(row.difference.ci95, True)):  # fmt: skip
            assert figure in text
    for item in summary.averages:
        assert item.name in text and interval(item.adapted.ci95) in text
    for fact in ("163,840 of 268,098,176 (0.061%)", "1 min 15 s", "2.5 GB", "method.name", "packages.torch", "2.13"):
        assert fact in text


def test_tables_are_accessible(summary: Summary, tmp_path: Path) -> None:
    page = Page(page_of(summary, tmp_path))
    assert page.elements[0] == ("html", {"lang": "en", "dir": "ltr"})
    assert all("scope" in attributes for tag, attributes in page.elements if tag == "th")
    assert page.count("caption") == 2
    assert all(a.get("aria-hidden") == "true" for tag, a in page.elements if tag == "svg")
    assert page.count("svg") == 2 + len(summary.rows) + len(summary.averages)


def test_plots_stay_inside_their_axis(summary: Summary, tmp_path: Path) -> None:
    page = Page(page_of(summary, tmp_path))
    places = [a[key] or "" for _, a in page.elements for key in ("x1", "x2", "cx") if (a.get(key) or "").endswith("%")]
    assert len(places) == 3 * 2 * (len(summary.rows) + len(summary.averages))
    assert all(0 <= float(place.rstrip("%")) <= 100 for place in places)


def test_a_report_that_cannot_be_written_is_one_line(summary: Summary, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_html(summary, tmp_path / "file" / "report.html")
