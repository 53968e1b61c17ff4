"""Law: a browser without a network shows the report of a whole study: quick, complete, usable, accessible, and nothing runs that is data.

Needs the extra `browser` and a Chromium: POLYPREFIX_CHROMIUM, or `chromium`, `google-chrome` on the path.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browser import Tab, axe, launched, needs_chromium
from tests.report.studies import some_languages, write_cell, write_report, write_study
from tests.report.test_page import EVIL

pytestmark = needs_chromium

COUNT = """figure => [...figure.querySelectorAll('.role-mark.mark-symbol path, .role-mark.mark-rect path')]
  .filter(path => path.getBoundingClientRect().width > 0 && getComputedStyle(path).fill !== 'rgba(0, 0, 0, 0)').length"""
ROWS = "table => [...table.tBodies[0].rows].map(row => row.dataset.language ?? '# ' + row.textContent)"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 methods x 40 languages x 2 tasks x 2 models x 2 seeds."""
    folder = tmp_path_factory.mktemp("browser")
    write_study(folder / "runs")
    write_report(folder / "runs", folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from launched()


def offline(browser: Any, path: Path, **options: Any) -> Tab:
    """A report without a network."""
    return Tab(browser, path.as_uri(), offline=True, **options)


@pytest.fixture(scope="module")
def tab(browser: Any, report: Path) -> Tab:
    return offline(browser, report, viewport={"width": 1280, "height": 900})


def test_it_is_quick_small_and_asks_for_nothing(tab: Tab, report: Path) -> None:
    assert report.stat().st_size < 5e6
    assert tab.first_paint() < 2000
    assert tab.requests == [report.as_uri()] and tab.complaints == []


def test_every_chart_is_drawn(tab: Tab) -> None:
    tab.page.emulate_media(media="print")  # paper has the charts of all tasks and models
    figures = tab.page.locator("figure")
    assert figures.count() == 1 + 4 * 8 + 2
    for i in range(figures.count()):
        figure = figures.nth(i)
        assert figure.evaluate(COUNT) == int(figure.get_attribute("data-marks")) > 0, figure.get_attribute("id")
    tab.page.emulate_media(media="screen")
    assert tab.page.locator("table.heat td.cell").count() == 4 * 40 * 6
    assert tab.page.locator("table.forest td svg line").count() == 4 * 40 * 5


def test_task_and_model_are_chosen(tab: Tab) -> None:
    assert tab.page.locator("table.heat:visible").count() == 1
    tab.page.select_option("#task", "beta")
    tab.page.select_option("#model", "tiny-b")
    shown = tab.page.locator("table.heat:visible")
    assert (shown.get_attribute("data-task"), shown.get_attribute("data-model")) == ("beta", "tiny-b")
    assert tab.page.locator("#scaling figure:visible").get_attribute("id") == "scaling-beta"


def test_what_was_not_run_cannot_be_chosen(browser: Any, tmp_path: Path) -> None:
    """The page opens with the task and model of which it has most, and a task takes the choice to a model that ran it."""
    for task, model, count in (("alpha", "tiny-b", 4), ("beta", "tiny-a", 9), ("beta", "tiny-b", 5)):
        for method in ("none", "prefix"):
            write_cell(tmp_path, some_languages(count), task=task, model=model, method=method)
    write_report(tmp_path, tmp_path / "report.html")
    tab = offline(browser, tmp_path / "report.html")
    shown = tab.page.locator("table.heat:visible")
    assert (shown.get_attribute("data-task"), shown.get_attribute("data-model")) == ("beta", "tiny-a")
    tab.page.select_option("#task", "alpha")
    assert (shown.get_attribute("data-task"), shown.get_attribute("data-model")) == ("alpha", "tiny-b")
    assert tab.page.locator("#model option:disabled").all_text_contents() == ["tiny-a"]
    assert "models of one size" in tab.page.locator("#scaling").inner_text()
    bare = "section => section.innerText.trim() === section.querySelector('h2').innerText.trim()"
    assert [section for section in tab.page.locator("section").all() if section.evaluate(bare)] == []
    tab.context.close()


def test_sorting_and_grouping(tab: Tab) -> None:
    table = tab.page.locator("table.heat:visible")
    heading = table.locator("th[data-method=lora]")
    values = "(table) => [...table.tBodies[0].rows].filter(r => r.dataset.language).map(r => +r.cells[7].dataset.sort)"
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert table.evaluate(values) == sorted(table.evaluate(values), reverse=True)
    heading.locator("button").press("Enter")
    assert table.evaluate(values) == sorted(table.evaluate(values))
    for grouping in ("family", "script", "resources"):
        tab.page.select_option("#grouping", grouping)
        rows = table.evaluate(ROWS)
        heads = [row for row in rows if row.startswith("# ")]
        assert len(rows) - len(heads) == 40 and len(set(heads)) == len(heads) > 1
        assert sum(int(row.rsplit("(", 1)[1][:-1]) for row in heads) == 40
        inside = "(table, by) => new Set([...table.tBodies[0].rows].map(r => r.dataset[by]).filter((g, i, all) => g && g !== all[i-1])).size"
        assert table.evaluate(inside, grouping) == len(heads)
    tab.page.select_option("#grouping", "")
    assert len(table.evaluate(ROWS)) == 40


def test_examples_are_filtered(tab: Tab) -> None:
    block = tab.page.locator(".examples:visible")
    assert block.locator(".example").count() == 10
    block.locator(".more").click()
    assert block.locator(".example").count() == 20
    block.locator(".by-language").select_option("3")
    block.locator(".by-right").select_option("wrong:0")
    name = block.locator(".by-language option:checked").text_content()
    for card in block.locator(".example").all():
        assert card.locator("h3").text_content().startswith(f"{name} ·")
        assert "wrong" in card.locator("tr").first.text_content()
    block.locator(".by-right").select_option("nobody")
    assert block.locator(".example .right").count() == 0


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_no_serious_fault(browser: Any, report: Path, scheme: str, width: int) -> None:
    tab = offline(browser, report, color_scheme=scheme, viewport={"width": width, "height": 844})
    found = axe.Axe().run(tab.page).response["violations"]
    serious = {v["id"]: v["nodes"][0]["html"][:300] for v in found if v["impact"] in ("serious", "critical")}
    assert serious == {}
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    tab.context.close()


def test_data_runs_nothing(browser: Any, tmp_path: Path) -> None:
    evil = EVIL + "<img src=x onerror=alert(1)>" + "long " * 2000
    codes = some_languages(4)
    for method in ("none", "lora", EVIL):
        write_cell(
            tmp_path,
            [*codes, "arb_Arab"],
            task=EVIL,
            model=EVIL,
            method=method,
            text=evil,
            labels=(evil, "b"),
            notes=(evil,),
        )
    write_report(tmp_path, tmp_path / "report.html")
    tab = offline(browser, tmp_path / "report.html")
    assert tab.complaints == [] and len(tab.requests) == 1
    assert tab.page.locator(".example img, .example script, li img").count() == 0
    assert EVIL in tab.page.locator(".example .text").first.text_content()
    assert tab.page.locator(".example .text").first.get_attribute("dir") == "auto"
    tab.context.close()


def test_without_javascript_all_tables_and_charts_are_there(browser: Any, report: Path) -> None:
    tab = offline(browser, report, java_script_enabled=False)
    assert tab.page.locator("table.heat:visible").count() == 4 and tab.page.locator("figure:visible").count() == 35
    tab.context.close()
