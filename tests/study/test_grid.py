"""Laws of the grid: every combination once, layers in their order, equal runs are one cell, all mistakes in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.study.studies import BASE, grid, study, write

from polyprefix.adapters.registry import resolve
from polyprefix.config import RunConfig
from polyprefix.errors import ConfigError
from polyprefix.settings import validate
from polyprefix.study.file import read_study
from polyprefix.study.grid import cells, put_all

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))


def test_every_combination_is_a_cell(tmp_path: Path) -> None:
    found = grid(tmp_path, axes={"method": ["prefix", "lora"], "train_size": [4, 8]}, seeds=[0, 1, 2])
    assert len(found) == len({cell.config.run_id() for cell in found}) == 12
    assert {(c.config.method["name"], c.config.train_size, c.config.seed) for c in found} == {
        (m, n, s) for m in ("prefix", "lora") for n in (4, 8) for s in (0, 1, 2)
    }


def test_a_cell_is_the_run_that_the_same_settings_make(tmp_path: Path) -> None:
    """Its folder is found by `polyprefix run` and the other way round."""
    [cell] = grid(tmp_path, axes={"method": ["prefix"], "method.length": [4]}, seeds=[3])
    values = {"model": str(tmp_path / "model"), **BASE, "method": {"name": "prefix", "length": 4}, "seed": 3}
    assert cell.config.run_id() == resolve(validate(RunConfig, values, "run")).run_id()


def test_what_does_not_depend_on_the_seed_is_one_cell(tmp_path: Path) -> None:
    found = grid(tmp_path, axes={"method": ["none", "prefix"], "task": ["terms"]}, seeds=[0, 1, 2])
    assert [cell.config.method["name"] for cell in found] == ["none", "prefix", "prefix", "prefix"]


def test_layers_are_laid_in_their_order(tmp_path: Path) -> None:
    axes = {
        "train_size": [4],
        "method": {"big": {"method": {"name": "lora", "rank": 32}, "train.batch_size": 8}, "prefix": None},
    }
    when = {"when": {"method": "big", "train_size": 4}, "set": {"train": {"batch_size": 2}, "method.alpha": 64}}
    big, prefix = grid(tmp_path, axes=axes, overrides=[when])
    assert (big.config.train.batch_size, big.config.method["rank"], big.config.method["alpha"]) == (2, 32, 64)
    assert (prefix.config.train.batch_size, prefix.config.method["name"]) == (4, "prefix")
    assert dict(big.labels) == {"train_size": "4", "method": "big", "seed": "0"}


def test_paths_in_the_base_reach_every_part(tmp_path: Path) -> None:
    axes = {"method": ["prefix"]}
    found = grid(tmp_path, base={"eval.token_budget": 64}, axes=axes, parts={"more": {"axes": {**axes, "shots": [1]}}})
    assert [(cell.part, cell.config.eval.token_budget) for cell in found] == [("main", 64), ("more", 64)]


def test_another_method_takes_no_settings_along() -> None:
    lora = put_all({"method": "lora"}, {"method.rank": 2})
    assert lora == {"method": {"name": "lora", "rank": 2}}
    assert put_all(lora, {"method": "lora"}) == lora
    assert put_all(lora, {"method": {"alpha": 4}}) == {"method": {"name": "lora", "rank": 2, "alpha": 4}}
    assert put_all(lora, {"method": "prefix"}) == {"method": {"name": "prefix"}}


def test_what_is_excluded_is_left_out(tmp_path: Path) -> None:
    axes = {"method": ["none", "prefix", "full"], "train_size": [4, 8]}
    found = grid(tmp_path, axes=axes, exclude=[{"method": ["full", "none"], "train_size": 8}])
    assert [(c.labels["method"], c.labels["train_size"]) for c in found] == [
        ("none", "4"), ("prefix", "4"), ("prefix", "8"), ("full", "4"),
    ]  # fmt: skip


def test_parts_inherit_and_share_cells(tmp_path: Path) -> None:
    length = {"axes": {"method": ["prefix"], "method.length": [4, 16]}, "seeds": [0]}
    found = grid(tmp_path, axes={"method": ["prefix"]}, seeds=[0, 1], parts={"length": length})
    assert [(c.part, c.config.method["length"], c.config.seed) for c in found] == [
        ("main", 16, 0), ("main", 16, 1), ("length", 4, 0),
    ]  # fmt: skip


def test_candidates_come_first_and_depend_on_model_and_method_alone(tmp_path: Path) -> None:
    tune = {"base": {"eval_size": 1, "languages": []}, "values": {"prefix": {"train.learning_rate": [0.01, 0.1]}}}
    axes = {"method": ["none", "prefix"], "method.length": [4, 8]}
    found = grid(tmp_path, axes={"method": ["none", "prefix"]}, tune=tune, seeds=[5, 6],
                 parts={"length": {"axes": {**axes, "method": ["prefix"]}}})  # fmt: skip
    tuning = [cell for cell in found if cell.part == "tune"]
    assert [cell.config.train.learning_rate for cell in tuning] == [0.01, 0.1]
    assert {cell.config.seed for cell in tuning} == {5} and {cell.config.eval_size for cell in tuning} == {1}
    assert [cell.part for cell in found] == ["tune"] * 2 + ["main"] * 3 + ["length"] * 4
    assert all(len(cell.candidates) == 2 for cell in found if cell.labels["method"] == "prefix" and cell.part != "tune")


def test_all_mistakes_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        grid(
            tmp_path, base={"trian_size": 4}, axes={"method": ["prefx", "lora"], "train.batch_size": [0]},
            overrides=[{"when": {"methd": "lora"}, "set": {"seed": 1}}], exclude=[{"method": "lorra"}],
            tune={"values": {"ful": {"train.learning_rate": [1]}}},
        )  # fmt: skip
    message = str(caught.value)
    assert "\n" not in message and message.startswith("tiny.yaml: ")
    for part in ("'trian_size', did you mean 'train_size'", "batch_size' is 0", "'methd': no such axis",
                 "'method: lorra': no such value, did you mean 'lora'", "tune.values 'ful'"):  # fmt: skip
        assert message.count(part) == 1, (part, message)


def test_mistakes_in_a_method_a_task_and_a_language(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"prefx.*did you mean 'prefix'.*xnly.*did you mean 'xnli'.*[Kk]lingon"):
        grid(tmp_path, parts={
            "a": {"axes": {"method": ["prefx"]}}, "b": {"axes": {"task": ["xnly"]}},
            "c": {"base": {"languages": ["Klingon"]}, "axes": {"method": ["none"]}},
        })  # fmt: skip


def test_mistakes_in_the_form_are_one_line(tmp_path: Path) -> None:
    file = write(tmp_path, axes={"method": [], "task": ["terms", "terms"]}, sedes=[1], parts={"a": {"bas": {}}},
                 overrides=[{"when": {}, "set": {"seed": 1}, "st": 1}])  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        read_study(file)
    for part in (
        "'sedes', did you mean 'seeds'",
        "'parts.a.bas', did you mean 'parts.a.base'",
        "overrides.0.st",
        "axis 'method' has no values",
    ):
        assert part in str(caught.value), (part, str(caught.value))
    assert "\n" not in str(caught.value)


def test_a_study_without_cells_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no axes and no parts"):
        cells(study(tmp_path), "tiny.yaml")


@pytest.mark.parametrize("file", STUDIES, ids=lambda p: p.stem)
def test_the_studies_that_come_with_us_are_right(file: Path) -> None:
    found = cells(read_study(file), str(file))
    assert len({cell.config.run_id() for cell in found if not cell.candidates}) == sum(not c.candidates for c in found)
    wanted = {int(n) for n in re.findall(r"^# (\d+) cells", file.read_text(), re.MULTILINE)}
    assert not wanted or wanted == {len(found)}
