"""Law: the page of many runs is one file that asks for nothing; data is text; every figure is one of the files'."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.report.studies import some_languages, write_cell, write_report

from polyprefix.report.format import percent, signed

CODES = some_languages(5)
EVIL = "<script>fetch('x')</script></style> \"quotes\" & 'quotes' نعم 🙂 {{ 7 * 7 }}"


class Page(HTMLParser):
    """Elements, the visible text, and the cells of tables that name their figure."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.figures: list[tuple[dict[str, str | None], str, str, str]] = []
        self._table: dict[str, str | None] = {}
        self._methods: list[str] = []
        self._first = 0  # column of the first method
        self._language, self._column, self._cell = "", 0, ""
        self.feed(page)
        self.close()
        self.text = "".join(self.words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.elements.append((tag, values))
        self.open.append(tag)
        if tag == "table":
            self._table, self._methods, self._first = values, [], 0
        elif tag == "tr":
            self._language, self._column = values.get("data-language") or "", 0
        if tag in ("td", "th"):
            self._cell, self._column = "", self._column + 1
        if tag == "th" and "data-method" in values:
            self._first = self._first or self._column
            self._methods.append(values["data-method"] or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "td" and self._language and self._table.get("data-figure") and self._column >= self._first:
            method = self._methods[self._column - self._first]
            self.figures.append((self._table, method, self._language, self._cell.strip()))

    def handle_data(self, data: str) -> None:
        self._cell += data
        if self.open[-1:] not in (["script"], ["style"]):
            self.words.append(data)


def results(study: Path) -> dict[tuple[str, str, str, str], list[float]]:
    """(task, model, method, language) -> accuracy of each seed, read from `result.json` by nobody but this test."""
    found: dict[tuple[str, str, str, str], list[float]] = {}
    for path in sorted(study.glob("*/result.json")):
        values = json.loads(path.read_text())
        config = values["config"]
        for code, scores in values["scores"].items():
            key = config["task"], config["model"], config["method"]["name"], code
            found.setdefault(key, []).append(scores["accuracy"]["value"])
    return found


def test_a_sample_of_200_figures_is_that_of_the_files(small_page: str, small_study: Path) -> None:
    known = {key: sum(values) / len(values) for key, values in results(small_study).items()}
    figures = Page(small_page).figures
    assert len(figures) == 2 * 2 * 9 * (6 + 5)
    for table, method, code, text in random.Random(0).sample(figures, 200):
        where = str(table["data-task"]), str(table["data-model"])
        value = known[(*where, method, code)]
        if table["data-figure"] == "score":
            assert text == percent(value)
        else:
            figure = text.split("[")[0].rstrip("*")
            assert abs(float(figure) - 100 * (value - known[(*where, "none", code)])) < 0.05 + 1e-9, (
                text,
                method,
                code,
            )
            assert figure == signed(float(figure) / 100)


def test_nothing_is_requested_and_only_our_script_may_run(small_page: str) -> None:
    page = Page(small_page)
    names = {name for _, attributes in page.elements for name in attributes}
    assert not names & {"src", "srcset", "action", "data", "onclick", "onload", "onerror"}
    assert all((a.get("href") or "#").startswith("#") for _, a in page.elements)
    assert "@import" not in small_page and "https:" not in small_page
    policy = next(a["content"] or "" for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    script = small_page.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'") and policy.endswith(f"script-src 'sha256-{digest}'")


def test_every_section_and_chart_is_there(small_page: str) -> None:
    page = Page(small_page)
    ids = [str(a["id"]) for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for section in ("runs", "methods", "heat", "differences", "verdicts", "calibration", "groups", "cost", "scaling", "ablations",
                    "map", "distance", "examples", "missing", "files", "how"):  # fmt: skip
        assert section in ids
    charts = [a for tag, a in page.elements if tag == "figure"]
    assert len(charts) == 1 + 4 * (3 + 2 + 1 + 1 + 1) + 2
    tables = sum(tag == "table" for tag, _ in page.elements)
    assert tables >= len(charts) + 4 * 3 + 2  # answers of this study have no log-likelihoods, so nothing is calibrated
    labels = [a.get("aria-label") for tag, a in page.elements if tag == "svg" and a.get("role") == "img"]
    assert len(labels) == len(charts) and all(labels)


def test_data_is_text(tmp_path: Path) -> None:
    evil = EVIL + "x" * 10_000
    write_cell(tmp_path, CODES, text=evil, labels=(EVIL, "b", "c"), notes=(EVIL,), model=EVIL, task=EVIL)
    write_cell(tmp_path, CODES, method=EVIL, model=EVIL, task=EVIL, text=evil)
    text = write_report(tmp_path, tmp_path / "report.html")
    page = Page(text)
    scripts = [a for tag, a in page.elements if tag == "script"]
    assert [a.get("type") for a in scripts] == ["application/json", None]
    assert "<script>fetch" not in text
    assert page.text.count(EVIL) > 10
    payload = text.split('<script type="application/json">')[1].split("</script>")[0]
    assert json.loads(payload)["items"][0]["text"].startswith(EVIL)


def test_texts_can_be_left_out(tmp_path: Path) -> None:
    write_cell(tmp_path, CODES, text="SECRET passage {id}")
    answers = tuple(f"SECRET answer {i}" for i in range(20))
    write_cell(tmp_path, CODES, task="free", text="SECRET passage {id}", labels=answers)
    text = write_report(tmp_path, tmp_path / "report.html", texts=False)
    assert "SECRET" not in text and "left out of this report" in text
    assert '"gold":"yes"' in text or '"gold":"no"' in text
    write_report(tmp_path, tmp_path / "report.html")
    assert "SECRET passage" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_what_is_absent_is_said(tmp_path: Path) -> None:
    write_cell(tmp_path, CODES)
    write_report(tmp_path, tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    for sentence in ("There is one method only", "models of one size", "no two runs of a method differ", "one seed"):
        assert sentence in text
    write_cell(tmp_path, CODES[:2], method="none")
    write_report(tmp_path, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    holes = [text for _, method, code, text in page.figures if method == "none" and code not in CODES[:2]]
    assert holes == ["–"] * 3
    assert "no score in 3 of 5 languages" in page.text


def test_a_language_without_english_and_one_language_alone_are_reported(tmp_path: Path) -> None:
    write_cell(tmp_path, ["eng_Latn"])
    write_report(tmp_path, tmp_path / "one.html")
    write_cell(tmp_path, CODES[1:], task="beta")
    write_report(tmp_path, tmp_path / "two.html")
    assert (tmp_path / "one.html").stat().st_size and (tmp_path / "two.html").stat().st_size


def test_ablations_are_drawn_where_the_study_has_them(tmp_path: Path) -> None:
    for length in (4, 8, 16):
        write_cell(tmp_path, CODES, settings={"length": length, "layers": "all"})
    for shots in (2, 4):
        write_cell(tmp_path, CODES, settings={"length": 8, "layers": "all"}, shots=shots)
    write_report(tmp_path, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    marks = {str(a["id"]): a["data-marks"] for tag, a in page.elements if tag == "figure"}
    assert marks["ablation-method-length-alpha-tiny-a"] == "3" and marks["ablation-shots-alpha-tiny-a"] == "3"


@pytest.mark.parametrize("count", [3, 200])
def test_the_page_stays_small(tmp_path: Path, count: int) -> None:
    """Long texts in many languages: fewer examples a language, not a larger page."""
    write_cell(tmp_path, some_languages(count), n=10, text="word " * 2000)
    write_report(tmp_path, tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < 5e6
