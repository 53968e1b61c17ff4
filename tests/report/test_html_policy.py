"""Law: a page allows its own script by hash, and no other."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from tests.report.conftest import WriteRun

from polyprefix.report.html import write_html
from polyprefix.report.summary import summarise


def test_the_page_of_one_run_allows_the_script_that_it_holds(write_run: WriteRun, tmp_path: Path) -> None:
    note = "<script>alert(1)</script>"
    write_html(summarise(write_run("a", ["eng_Latn", "swh_Latn"], 0.5, notes=(note,))), tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    [script] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    [policy] = re.findall(r"script-src '([^']*)'", page)
    assert policy == "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "sortable" in script and "unsafe-inline'; script" not in page.partition("style-src")[0]
