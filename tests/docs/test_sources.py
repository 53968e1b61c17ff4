"""Law: docs/source-ranker.md says of the shipped ranker what its file says."""

from __future__ import annotations

from tools.make_source_ranker import PAGE, of_ranker

from polyprefix.sources.fitted import shipped


def test_the_page_is_made_from_the_shipped_ranker() -> None:
    found, page = shipped(), PAGE.read_text(encoding="utf-8")
    assert found is not None and of_ranker(page, found) == page
