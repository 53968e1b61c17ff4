"""Law: the first screen names every method that the finding has figures of, and how to get the adapter, or that there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.report.studies import METHODS, some_languages, write_cell

from polyprefix.report.findings import MOST_NAMED, finding, in_short, overall
from polyprefix.report.first import adapter, by_name, cost
from polyprefix.report.grid import read_grid

CODES = some_languages(6)


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_short_finding_names_the_methods_of_the_long_one(tmp_path: Path, seeds: int) -> None:
    for place, method in enumerate(METHODS):
        for seed in range(seeds):
            write_cell(tmp_path, CODES, method=method, seed=seed, share=0.3 + 0.1 * place)
    grid = read_grid([tmp_path])
    whole = overall(grid)
    assert whole
    short, long = in_short(grid, whole), finding(grid, whole)[1]
    assert len(whole.ranked) - 1 <= MOST_NAMED
    above, even = (part.partition(";")[::2] for part in (short, long))
    for method in whole.ranked[1:]:
        assert (method in above[0]) == (f"{method} (" in even[0]) and method in short
    assert ("significantly" in short) == (seeds > 1)


def test_the_adapter_is_asked_exported_or_trained_again(tmp_path: Path) -> None:
    write_cell(tmp_path, CODES, method="none", share=0.2)
    folder = write_cell(tmp_path, CODES, method="lora", share=0.9)
    (view,) = read_grid([tmp_path]).views
    assert adapter(view).commands == (f"polyprefix run {folder.name}/config.yaml",)
    (folder / "adapter").mkdir()
    ask, export = adapter(view).commands
    assert ask.startswith(f"polyprefix predict {folder.name}") and export.startswith(f"polyprefix export {folder.name}")
    assert "737,280 trained parameters" in cost(view) and "of training" in cost(view)
    assert view.verdicts and len(by_name(view.verdicts)) == len(CODES)


def test_a_base_model_alone_has_no_adapter(tmp_path: Path) -> None:
    write_cell(tmp_path, CODES, method="none")
    (view,) = read_grid([tmp_path]).views
    assert "not trained" in adapter(view).text and not adapter(view).commands
