"""`pp.rank_sources` and `polyprefix sources`: candidates of a task, from its data, a tokenizer and finished runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.sources.worlds import SOURCES, TARGETS, by_relation
from tests.statistics.matrices import write_matrix

import polyprefix as pp
from polyprefix.errors import ConfigError, LanguageError
from polyprefix.sources.features import Facts, TextFacts, candidate, text_facts
from polyprefix.testing.tiny import tiny_tokenizer

Command = Callable[..., tuple[int, str, str]]
DATA = ("eng_Latn", "fra_Latn", "swh_Latn", "ind_Latn")
TASK = """
title: Is it about sport?
task_type: classification
template: "{text}\\nAnswer:"
labels: [y, n]
files: {train: train.csv, test: test.csv}
columns: {answer: label, language: language, id: id}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task with training data in four languages, and finished runs of it: `task.yaml`, `runs/`."""
    folder = tmp_path_factory.mktemp("sources")
    words = {"eng_Latn": "the game", "fra_Latn": "le jeu", "swh_Latn": "mchezo huu", "ind_Latn": "ujian itu"}
    for name, codes, count in (("train", DATA, 12), ("test", (*DATA, "zul_Latn"), 4)):
        pd.DataFrame(
            [{"id": f"{name}{i}", "language": code, "text": f"{words.get(code, 'umdlalo')} {i}", "label": "yn"[i % 2]}
             for code in codes for i in range(count - (code == "ind_Latn"))]
        ).to_csv(folder / f"{name}.csv", index=False)  # fmt: skip
    (folder / "task.yaml").write_text(TASK)
    write_matrix(folder / "runs", by_relation(np.random.default_rng(1)), task=str(folder), model="none-such", sources=SOURCES,
                 targets=TARGETS, n=8)  # fmt: skip
    return folder


def ranked(folder: Path, *targets: str, **more: object) -> pp.SourceRanking:
    return pp.rank_sources(str(folder), targets, results=folder / "runs", **more)  # type: ignore[arg-type]


def test_the_order_of_candidates_changes_nothing(folder: Path) -> None:
    one = ranked(folder, "zu", "es", candidates=["en", "fr", "sw", "id"])
    other = ranked(folder, "zu", "es", candidates=["id", "sw", "en", "fr"])
    assert one.by_target == other.by_target
    fewer = ranked(folder, "zu", candidates=["sw", "en", "fr"]).by_target[0]
    kept = [row for row in one.by_target[0].candidates if row.source != "ind_Latn"]
    assert [row.source for row in kept] == [row.source for row in fewer.candidates]


def test_a_target_is_no_candidate_of_itself_unless_asked(folder: Path) -> None:
    (one,) = ranked(folder, "sw").by_target
    assert {row.source for row in one.candidates} == set(DATA) - {"swh_Latn"}
    (own,) = ranked(folder, "sw", own=True).by_target
    assert {row.source for row in own.candidates} == set(DATA)


def test_relatives_come_first_where_they_helped(folder: Path) -> None:
    """Zulu after Swahili; Spanish after a language that shares family and script."""
    zulu, spanish = ranked(folder, "zu", "es").by_target
    assert zulu.candidates[0].source == "swh_Latn"
    assert spanish.candidates[0].source in ("fra_Latn", "eng_Latn")
    (english,) = (row for row in zulu.candidates if row.source == "eng_Latn")
    assert english.gain == 0 and all(row.ci95[0] <= row.gain <= row.ci95[1] for row in zulu.candidates)


def test_what_is_known_is_shown_and_what_is_not_is_absent(folder: Path) -> None:
    frame = ranked(folder, "zu", "x-mine").to_pandas()
    mine = frame[frame["target"] == "x-mine"]
    assert mine["genetic distance"].isna().all() and mine["token overlap"].isna().all()
    rows = frame.groupby("source")["training examples"].first()
    task = pp.load_task(folder)
    for code in DATA:
        assert np.exp(rows[code]) == pytest.approx(len(task.examples("train", code, pp.Source())))


def test_a_tokenizer_counts_where_a_model_is_given(folder: Path, tiny_folder: Path) -> None:
    found = ranked(folder, "zu", model=str(tiny_folder))
    assert found.to_pandas()["token overlap"].between(0, 1).all()
    assert found.variant == "languages"  # the runs' own model is not here, so no tokenizer was fitted
    assert any("none-such" in note for note in found.notes)


def test_overlap_is_the_share_of_the_targets_tokens() -> None:
    facts = Facts(texts={"eng_Latn": TextFacts(1.5, {1: 5, 2: 1}), "swh_Latn": TextFacts(2.0, {2: 3, 3: 1})})
    one, back = candidate("eng_Latn", "swh_Latn", facts), candidate("swh_Latn", "eng_Latn", facts)
    assert (one.overlap, back.overlap) == (3 / 4, 1 / 6)
    assert one.fertility == 1.5 and one.fertility_ratio == back.fertility_ratio == pytest.approx(4 / 3)
    counted = text_facts(tiny_tokenizer(), ["abca"], "eng_Latn")
    assert sorted(counted.tokens.values()) == [1, 1, 2] and counted.fertility == 4


def test_mistakes_are_one_line(folder: Path, polyprefix: Command) -> None:
    for more, words in (
        (("--candidates", "en"), "nothing to rank"),
        (("--candidates", "en,zu"), "no training data in Zulu"),
        (("--candidates", "en,English"), "give it once"),
        (("--results", folder / "nowhere"), "nowhere"),
    ):
        given = ("--results", folder / "runs") if more[0] != "--results" else ()
        status, out, err = polyprefix("sources", "--task", folder, "--targets", "zu", *given, *more)
        assert status == 2 and words in err and err.count("\n") == 1 and not out
    status, _, err = polyprefix("sources", "--task", folder, "--targets", " , ", "--results", folder / "runs")
    assert status == 2 and "--targets: none" in err
    with pytest.raises(LanguageError):
        ranked(folder, "zz9")
    with pytest.raises(ConfigError):
        pp.rank_sources("terms", ["zu"], ["en"], results=folder / "runs")


def test_the_command_prints_tables_json_and_csv(folder: Path, polyprefix: Command) -> None:
    words = ("sources", "--task", folder, "--targets", "zu,es", "--results", folder / "runs")
    status, out, _ = polyprefix(*words, "--top", 2)
    assert status == 0 and "Zulu (zul_Latn)" in out and "first choice by" in out and "better than English" in out
    status, out, _ = polyprefix(*words, "--json")
    told = json.loads(out)
    assert status == 0 and told["validation"]["targets"] == len(TARGETS) - 1
    assert {row["target"] for row in told["ranking"]} == {"zul_Latn", "spa_Latn"} and told["advice"] in told["advice"]
    status, out, _ = polyprefix(*words, "--csv")
    assert status == 0 and out.startswith("target,rank,source,") and out.count("\n") == 1 + 2 * len(DATA)
