"""Law: what version 1 wrote is read under today's names, with the same values and the same run id."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polyprefix.config import RunConfig
from polyprefix.results.files import find_results, read_predictions, read_result
from polyprefix.results.version_1 import COLUMNS, upgraded

KEPT = find_results(Path(__file__).parents[2] / "studies" / "results" / "small")


@pytest.mark.parametrize("folder", KEPT[::12], ids=lambda folder: folder.name)
def test_a_kept_run_is_read_under_todays_names(folder: Path) -> None:
    old, result = json.loads((folder / "result.json").read_text()), read_result(folder)
    assert old["schema_version"] == 1 and result.schema_version == 2
    assert result.cost["peak_flops_per_second"] == old["cost"]["ceiling_flops_per_second"]
    assert result.cost["eval_mfu"] == old["cost"]["eval_share_of_ceiling"]
    assert sorted(result.cost.values()) == sorted(old["cost"].values())
    predictions, correct = read_predictions(folder / "predictions.parquet")
    rows = pq.read_table(folder / "predictions.parquet").to_pylist()
    assert [list(p.references) for p in predictions] == [row["answers"] for row in rows]
    assert [p.prediction for p in predictions] == [row["predicted"] for row in rows]
    assert correct == [row["correct"] for row in rows]


def test_every_kept_run_still_has_its_id() -> None:
    assert len(KEPT) > 100
    for folder in KEPT:
        config = RunConfig.model_validate(read_result(folder).config)
        assert config.run_id() == folder.name


def test_old_and_new_columns_are_never_mixed_up(tmp_path: Path) -> None:
    """A file that has both names has the new ones read."""
    table = pq.read_table(KEPT[0] / "predictions.parquet")
    new = table.rename_columns([COLUMNS.get(name, name) for name in table.column_names])
    both = new.append_column("predicted", pa.array(["?"] * len(new)))
    pq.write_table(both, tmp_path / "both.parquet")
    assert read_predictions(tmp_path / "both.parquet") == read_predictions(KEPT[0] / "predictions.parquet")


@pytest.mark.parametrize(
    "broken", [{}, {"config": 3}, {"cost": []}, {"config": {"eval_ids": 3}}, {"cost": {"x": None}}]
)
def test_what_is_malformed_is_left_to_the_reader(broken: dict[str, object]) -> None:
    assert upgraded(broken) == {**broken, "schema_version": 2}
