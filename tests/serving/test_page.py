"""Law: in a browser the page asks all adapters, says how far to trust each and predicts a table; it passes axe and loads nothing else.

Needs the extra `browser` and a Chromium: POLYPREFIX_CHROMIUM, or `chromium`, `google-chrome` on the path.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browser import Tab, axe, launched, needs_chromium
from tests.serving.conftest import METHODS, Service

from polyprefix.serving.adapters import Served

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from launched()


@pytest.fixture
def tab(browser: Any, service: Service) -> Iterator[Tab]:
    found = Tab(browser, service.url)
    found.page.wait_for_selector("#inputs textarea")
    yield found
    assert found.complaints == []
    assert all(url.startswith((service.url, "blob:" + service.url)) for url in found.requests)
    found.context.close()


def test_a_sentence_is_asked_by_keyboard(tab: Tab) -> None:
    page = tab.page
    assert page.locator("#tasks").is_visible(), "two tasks are served"
    page.locator("#inputs textarea").fill("Timu yashinda fainali ya kombe la dunia mjini Nairobi")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("article")
    cards = page.locator("article")
    assert cards.locator("h2").all_text_contents() == ["run", *METHODS]
    first = cards.first
    assert (
        first.locator("meter").count() == 3 and "Swahili" in first.inner_text() and "9 examples" in first.inner_text()
    )
    assert "Calibrated: prior of swh_Latn" in first.inner_text()
    assert "Never tested in this language" in cards.nth(1).inner_text()
    assert (
        page.locator("#inputs textarea").get_attribute("dir")
        == first.locator(".prediction").get_attribute("dir")
        == "auto"
    )


def test_examples_are_asked_with_a_click(tab: Tab) -> None:
    assert tab.page.locator("#examples button").all_text_contents() == ["English", "German", "Swahili"]
    tab.page.get_by_role("button", name="German").click()
    tab.page.wait_for_selector("article")
    assert tab.page.locator("#inputs textarea").input_value()


def test_what_is_wrong_is_said_and_texts_run_nothing(tab: Tab) -> None:
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    tab.page.locator("#inputs textarea").fill(evil)
    tab.page.locator("#language").fill("swahilli")
    tab.page.locator("#send").click()
    tab.page.wait_for_selector("#status[role=alert]")
    assert "Swahili" in tab.page.locator("#status").inner_text()
    tab.page.locator("#language").fill("sw")
    tab.page.locator("#send").click()
    tab.page.wait_for_selector("article")
    assert tab.page.locator("article img, article script").count() == 0
    tab.complaints = [line for line in tab.complaints if "422" not in line]  # the browser notes every refusal


def test_a_table_comes_back_with_answers(tab: Tab, tmp_path: Path) -> None:
    texts = [f'Timu, "{n}"\nyashinda' for n in range(70)]
    path = tmp_path / "in.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "headline"], *([n, text] for n, text in enumerate(texts))])
    tab.page.set_input_files("#file", path)
    tab.page.wait_for_selector("#result:not([hidden])")
    with tab.page.expect_download() as download:
        tab.page.locator("#result").click()
    with Path(download.value.path()).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["headline"] for row in rows] == texts and [row["id"] for row in rows] == [str(n) for n in range(70)]
    for row in rows:
        shares = {label: float(row[f"probabilities.{label}"]) for label in ("sport", "money", "weather")}
        assert max(shares, key=shares.__getitem__) == row["prediction"] and sum(shares.values()) == pytest.approx(1)
    tab.page.locator("#pasted").fill("title\nx\n")
    tab.page.locator("#predict").click()
    tab.page.wait_for_selector("#status[role=alert]")
    assert "no column 'headline', found title" in tab.page.locator("#status").inner_text()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_no_serious_fault(browser: Any, service: Service, width: int, scheme: str) -> None:
    tab = Tab(browser, service.url, color_scheme=scheme, viewport={"width": width, "height": 844})
    tab.page.locator("#inputs textarea").fill("کل شدید بارش ہوگی")
    tab.page.locator("#send").click()
    tab.page.wait_for_selector("article")
    for path in ("/", "/docs"):
        if path != "/":
            tab.page.goto(service.url + path)
        # axe is a script of ours, which the page's own policy does not allow
        found = axe.Axe().run(tab.page).response["violations"]
        assert {v["id"]: v["nodes"][0]["html"][:300] for v in found if v["impact"] in ("serious", "critical")} == {}
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    tab.context.close()


def test_a_key_is_typed_once(browser: Any, served: list[Served]) -> None:
    service = Service(served, key="s3cret")
    tab = Tab(browser, service.url)
    tab.page.wait_for_selector("#key:not([hidden])")
    tab.page.locator("#secret").fill("s3cret")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector("#inputs textarea")
    assert not tab.page.locator("#key").is_visible()
    tab.context.close()
    service.close()
