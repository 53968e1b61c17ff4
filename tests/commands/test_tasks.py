"""Law: a task made of a table holds every row once, an item on one side in every language, and runs as it stands."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyprefix.data.files import read_table
from polyprefix.data.table import Row, Table
from polyprefix.data.validation_errors import ValidationErrors
from polyprefix.tasks import registry
from polyprefix.tasks._check import check_task
from polyprefix.tasks._new_task import Proposal, propose, write_task
from polyprefix.tasks.base import Source

Command = Callable[..., tuple[int, str, str]]
WORDS = {"sport": "goal", "money": "bank", "weather": "rain"}
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(str.strip)


def table_of(*rows: dict[str, str]) -> Table:
    return Table("rows.csv:1", tuple(rows[0]), tuple(Row(f"rows.csv:{n}", row) for n, row in enumerate(rows, 2)))


def headlines(count: int, *languages: str) -> list[dict[str, str]]:
    """So many items, each in every language."""
    return [
        {"id": str(n), "language": code, "headline": f"{WORDS[label]} {n} {code}", "section": label}
        for n in range(count)
        for label in [list(WORDS)[n % 3]]
        for code in languages
    ]


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(TEXT, min_size=4, max_size=12, unique_by=str.strip), data=st.data())
def test_every_row_is_written_once_and_an_item_is_on_one_side(
    items: list[str], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    codes = data.draw(st.sampled_from([("en",), ("en", "sw"), ("en", "sw", "th")]))
    labels = data.draw(
        st.lists(st.sampled_from(["yes", "no", "{maybe}", "1.50"]), min_size=len(items), max_size=len(items))
    )
    rows = [
        {"id": str(n), "lang": code, "text": f"{text} {code}", "label": label}
        for n, (text, label) in enumerate(zip(items, labels, strict=True))
        for code in codes
    ]
    table = table_of(*rows)
    folder = tmp_path_factory.mktemp("task") / "mine"
    write_task(table, propose(table, task_type="generation", question="text"), folder)
    errors = ValidationErrors()
    written = {split: read_table(folder / f"{split}.csv", errors).rows for split in ("train", "test")}
    errors.check()
    both = [row.cells for rows in written.values() for row in rows]
    assert Counter(tuple(row.items()) for row in both) == Counter(tuple(row.items()) for row in rows)
    ids = {split: {row.cells["id"] for row in rows} for split, rows in written.items()}
    assert not ids["train"] & ids["test"] and abs(len(ids["train"]) - len(ids["test"])) <= 1
    prompt = registry.get(str(folder)).examples("test", "eng_Latn", Source())[0]
    assert prompt.inputs["text"].strip()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (headlines(8, "en", "sw"), Proposal("section", "classification", ("headline",), "language", id="id")),
        (
            [{"context": "the red fox", "question": "Who?", "answer": "red fox"}, {"context": "a cat", "question": "Who?", "answer": "cat"}],
            Proposal("answer", "span", ("context", "question"), "eng_Latn", context="context"),
        ),
        (
            [{"q": "One?", "option_a": "x", "option_b": "y", "answer": "b", "lang": "sw"}],
            Proposal("answer", "multiple-choice", ("q",), "lang", ("option_a", "option_b")),
        ),
        ([{"source": "a b", "target": "c d", "split": s} for s in ("train", "test")],
         Proposal("target", "generation", ("source",), "eng_Latn", split="split")),
    ],
    ids=["classification", "span", "multiple-choice", "generation"],
)  # fmt: skip
def test_columns_are_guessed(rows: list[dict[str, str]], expected: Proposal) -> None:
    assert propose(table_of(*rows)) == expected


@pytest.mark.parametrize(
    ("said", "options"),
    [(("1", "2"), {"1": "option_a", "2": "option_b"}), (("0", "1"), {"0": "option_a", "1": "option_b"}),
     (("A", "B"), {"A": "option_a", "B": "option_b"}), (("option_b",), {"option_a": "option_a", "option_b": "option_b"})],
)  # fmt: skip
def test_what_names_an_option(said: tuple[str, ...], options: dict[str, str], tmp_path: Path) -> None:
    table = table_of(*({"q": f"{n}?", "option_a": "x", "option_b": "y", "answer": a} for n, a in enumerate(said * 2)))
    write_task(table, propose(table), tmp_path / "task")
    task = registry.get(str(tmp_path / "task"))
    assert task.definition.choices == options  # type: ignore[attr-defined]
    assert task.prompt(task.examples("test", "eng_Latn", Source())[0]).choices == (" A", " B")


def test_answers_to_the_questions_overrule_the_guesses(
    polyprefix: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    file = write_csv(tmp_path / "news.csv", headlines(12, "en", "sw"))
    monkeypatch.setattr("sys.stdin", io.StringIO("headline\ngeneration\nsection\nlanguage\n"))
    status, _, err = polyprefix("new-task", file, "--ask", "--out", tmp_path / "mine")
    assert status == 0, err
    assert "[section]" in err and "[headline]" not in err.partition("\n")[0]
    task = registry.get(str(tmp_path / "mine"))
    assert task.info.inputs == ("section",) and not task.info.labels


def test_rows_in_another_language_than_english(polyprefix: Command, tmp_path: Path) -> None:
    file = write_csv(
        tmp_path / "habari.csv", [{key: row[key] for key in ("headline", "section")} for row in headlines(12, "sw")]
    )
    status, out, err = polyprefix("new-task", file, "--language", "Swahili", "--out", tmp_path / "habari")
    assert status == 0, err
    assert "--source-languages swh_Latn" in out
    assert registry.get(str(tmp_path / "habari")).languages() == ("swh_Latn",)


def test_sixty_rows_lead_to_a_run(
    polyprefix: Command, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "news.csv", headlines(30, "en", "sw"))
    status, out, err = polyprefix("new-task", "news.csv", "--no-ask")
    assert status == 0, err
    [words] = [line.split()[1:] for line in out.splitlines() if line.startswith("run ")]
    words[words.index("gemma-3-270m")] = str(tiny_folder)
    few = ("--set", "train.steps=1", "--set", "train.validations=1", "--set", "train.batch_size=2", "--no-base")
    status, out, err = polyprefix(*words[1:], *few, "--dry-run", "--json")
    assert status == 0, err
    [planned] = json.loads(out)
    assert planned["steps"] == 1 and planned["validations"] == 2 and sum(planned["test"].values()) == 30
    assert not planned["finished"] and planned["cost"]["trained"] > 0 and not (tmp_path / "runs").exists()
    status, out, err = polyprefix(*words[1:], *few)
    assert status == 0, err
    assert [path.name for path in (tmp_path / "runs").iterdir() if not path.name.startswith(".")] == [planned["run_id"]]
    assert json.loads(polyprefix(*words[1:], *few, "--dry-run", "--json")[1])[0]["finished"]


def test_check_shows_tokens_and_counts(polyprefix: Command, tiny_folder: Path, tmp_path: Path) -> None:
    table = table_of(*headlines(12, "en", "sw", "th", "fi"))
    folder = tmp_path / "news"
    write_task(table, propose(table), folder)
    found = check_task(registry.get(str(folder)), Source())
    assert [prompt.language for prompt in found.prompts] == ["eng_Latn", "fin_Latn", "swh_Latn"]
    assert {code: counts["test"] for code, counts in found.counts.items()} == dict.fromkeys(found.counts, 6)
    assert sum(found.answers["test"].values()) == 24 and list(found.answers["test"]) == ["money", "sport", "weather"]
    status, out, err = polyprefix("check", folder, "--model", tiny_folder, "--languages", "sw")
    assert status == 0, err
    assert "money: 6" in out and "Swahili" in out and "Finnish" not in out
