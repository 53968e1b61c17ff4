"""Law: a file of any format and size, in any chunks, interrupted anywhere, gets the answers that its rows get one by one."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import polyprefix as pp
from polyprefix.config import PredictConfig, RunConfig, RuntimeConfig
from polyprefix.data.cells import Real, Whole
from polyprefix.errors import ConfigError, DataError, OutputError
from polyprefix.prediction import Predictor
from polyprefix.prediction.file import predict_file
from polyprefix.settings import validate

HEADLINES = Path(__file__).parents[1] / "examples" / "headlines"
Command = Callable[..., tuple[int, str, str]]
TEXTS = ["Timu, yashinda", 'Bei "ya" mafuta', "Mvua\nkubwa", "ราคาน้ำมัน", "کل شدید بارش", "=1+1", "Rais"]


@pytest.fixture(scope="module")
def ask(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    train = {"epochs": 1, "batch_size": 8, "validation_size": 4, "validations": 1}
    settings = {"model": str(tiny_folder), "task": str(HEADLINES), "train": train}
    folder = pp.run(validate(RunConfig, settings, "run"), out=tmp_path_factory.mktemp("runs")).folder
    found = Predictor(folder, settings=PredictConfig(runtime=RuntimeConfig(dtype="float32")))
    assert found.adapted
    return found


def questions(folder: Path, suffix: str) -> Path:
    """The same rows in each format, with columns of other types where the format has them."""
    path = folder / f"in{suffix}"
    rows = [{"headline": text, "n": i, "share": i / 4} for i, text in enumerate(TEXTS)]
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif suffix == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        table = pa.Table.from_pylist(rows).append_column("day", pa.array([18_000] * len(rows), pa.date32()))
        pq.write_table(table, path, row_group_size=3)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    """Rows with prediction and a dict of probabilities, whatever the format."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        shares = {name: row.pop(name) for name in list(row) if name.startswith("probabilities.")}
        row["probabilities"] = {name.removeprefix("probabilities."): float(share) for name, share in shares.items()}
    return rows


@pytest.mark.parametrize("calibration", ["none", "batch", "prior"])
@pytest.mark.parametrize("out", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_format_has_the_answers_of_the_texts(
    ask: Predictor, suffix: str, out: str, calibration: str, tmp_path: Path
) -> None:
    wanted = ask(TEXTS, language="sw", calibration=calibration)
    path, target = questions(tmp_path, suffix), tmp_path / f"out{out}"
    assert predict_file(ask, path, target, language="sw", calibration=calibration, chunk=2) == len(TEXTS)
    found = read(target)
    assert [row["headline"] for row in found] == TEXTS
    assert [row["prediction"] for row in found] == [row["prediction"] for row in wanted]
    assert [row.get("calibration") for row in found] == [row.get("calibration") for row in wanted]
    for row, one in zip(found, wanted, strict=True):
        assert row["probabilities"] == pytest.approx(one["probabilities"], abs=1e-5)
    assert [str(row["n"]) for row in found] == [str(i) for i in range(len(TEXTS))]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({path.name, target.name})


def test_parquet_keeps_the_types_of_its_file(ask: Predictor, tmp_path: Path) -> None:
    predict_file(ask, questions(tmp_path, ".parquet"), tmp_path / "out.parquet", chunk=2)
    schema, own = pq.read_schema(tmp_path / "out.parquet"), pq.read_schema(tmp_path / "in.parquet")
    assert all(schema.field(name).type == own.field(name).type for name in own.names)
    predict_file(ask, questions(tmp_path, ".jsonl"), tmp_path / "of_json.parquet", chunk=2)
    assert pq.read_schema(tmp_path / "of_json.parquet").field("share").type == pa.float64()


@pytest.mark.parametrize("killed_at", [0, 1, 3])
def test_an_interrupted_file_goes_on_where_it_was(
    ask: Predictor, killed_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out, asked = questions(tmp_path, ".csv"), tmp_path / "out.csv", []
    predict_file(ask, path, tmp_path / "whole.csv", chunk=2)
    real = Predictor.predict

    def counted(self: Predictor, examples: Any, *rest: Any) -> Any:
        if len(asked) == killed_at and not resumed:
            raise KeyboardInterrupt
        asked.append(len(examples))
        return real(self, examples, *rest)

    resumed = False
    monkeypatch.setattr(Predictor, "predict", counted)
    with pytest.raises(KeyboardInterrupt):
        predict_file(ask, path, out, chunk=2)
    assert not out.exists() and len(asked) == killed_at
    resumed = True
    predict_file(ask, path, out, chunk=2)
    assert len(asked) == 4 and out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_other_questions_or_settings_begin_anew(
    ask: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polyprefix.prediction import file

    path, out = questions(tmp_path, ".csv"), tmp_path / "out.csv"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(file, "writing", stop)
        predict_file(ask, path, out, chunk=2)
    assert len(list((tmp_path / ".out.csv.partial").glob("*.jsonl"))) == 4
    path.write_text("headline\nnew\n", encoding="utf-8")
    assert predict_file(ask, path, out, chunk=2) == 1
    assert [row["headline"] for row in read(out)] == ["new"]


def test_all_errors_are_told_before_the_model_is_loaded(ask: Predictor, tmp_path: Path) -> None:
    assert ask.folder is not None
    unloaded = Predictor(ask.folder, model="nowhere")
    path = tmp_path / "in.csv"
    path.write_text("headline\na\n\n" + '" "\n' * 3, encoding="utf-8")
    with pytest.raises(DataError, match=r"in.csv:4.*in.csv:6") as told:
        predict_file(unloaded, path, tmp_path / "out.csv", chunk=1)
    assert str(told.value).count("found nothing") == 3
    with pytest.raises(ConfigError, match=r"found the suffix '.json'"):
        predict_file(unloaded, path, tmp_path / "out.json")
    path.write_text("headline,prediction\na,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="another name"):
        predict_file(unloaded, path, tmp_path / "out.csv")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.csv"]


def test_two_processes_do_not_write_one_output(ask: Predictor, tmp_path: Path) -> None:
    from polyprefix.prediction.parts import Parts

    path = questions(tmp_path, ".csv")
    with Parts(tmp_path / "out.csv", {}), pytest.raises(OutputError, match="another process"):
        predict_file(ask, path, tmp_path / "out.csv")
    predict_file(ask, path, tmp_path / "out.csv")


def test_numbers_of_json_lines_stay_as_written(ask: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"headline": 1.50, "id": 007e1}\n'.replace("007", "7"), encoding="utf-8")
    predict_file(ask, path, tmp_path / "out.csv")
    [row] = read(tmp_path / "out.csv")
    assert (row["headline"], row["id"]) == ("1.50", "7e1") and issubclass(Whole, int) and issubclass(Real, float)


def test_the_command_writes_what_the_name_says(polyprefix: Command, ask: Predictor, tmp_path: Path) -> None:
    for suffix in (".csv", ".jsonl", ".parquet"):
        status, said, err = polyprefix(
            "predict", ask.folder, "--text", "Timu", "--text", "Bei", "--out", tmp_path / f"a{suffix}"
        )
        assert status == 0 and "2 rows" in said, err
        assert [row["headline"] for row in read(tmp_path / f"a{suffix}")] == ["Timu", "Bei"]
    status, _, err = polyprefix("predict", ask.folder, "--text", "Timu", "--out", tmp_path / "a.txt")
    assert status == 2 and ".parquet" in err


def test_predictors_share_a_model_that_is_loaded(ask: Predictor) -> None:
    assert ask.folder is not None
    base = ask.adapted.base
    other = Predictor(ask.folder, model=base)
    assert other(TEXTS[:2]) == ask(TEXTS[:2]) and other.adapted.base is base
