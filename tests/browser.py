"""Pages in Chromium, for the tests of the report and of the service. Importing it skips a module where there is no playwright or axe."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

CHROMIUM = os.environ.get("POLYPREFIX_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="no playwright here: pip install 'polyprefix[browser]'")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: pip install 'polyprefix[browser]'")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: install one, or set POLYPREFIX_CHROMIUM"
)


def launched() -> Iterator[Any]:
    """A browser, closed after its use."""
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Tab:
    """A page that remembers what it asked for and what it complained about."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.goto(url)

    def first_paint(self) -> float:
        """Milliseconds until something was to be seen. Asked again and again from here, since a report lets nothing evaluate text."""
        paint = "performance.getEntriesByName('first-contentful-paint').map(entry => entry.startTime)"
        for _ in range(100):
            if found := self.page.evaluate(paint):
                return float(found[0])
            self.page.wait_for_timeout(50)
        raise AssertionError("nothing was painted in five seconds")
