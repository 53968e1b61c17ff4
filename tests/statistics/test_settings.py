"""Law: runs that differ in their seed only are one system; names distinguish systems, the same way in every setting."""

from __future__ import annotations

import json

import pytest
from tests.statistics.conftest import CODES, WriteRun, answers

from polyprefix.results.table import ResultsTable, by_content, read_table
from polyprefix.statistics.settings import read_settings


def read(write_run: WriteRun) -> ResultsTable:
    return read_table([write_run("none", answers(0.3))])


def test_a_setting_that_varies_anywhere_is_named_everywhere(write_run: WriteRun) -> None:
    for length in (4, 8):
        write_run("prefix", answers(0.5), method={"length": length})
    write_run("prefix", answers(0.5), method={"length": 8}, task="xnli")
    names = {setting.task: set(setting.systems) for setting in read_settings(read(write_run))}
    assert names == {"terms": {"none", "prefix (length=4)", "prefix (length=8)"}, "xnli": {"prefix (length=8)"}}


@pytest.mark.parametrize(("others", "short"), [(("deu_Latn", "fra_Latn", "fin_Latn"), False), (("deu_Latn",), True)])
def test_names_are_short_where_short_ones_distinguish_all(
    write_run: WriteRun, others: tuple[str, ...], short: bool
) -> None:
    write_run("prefix", answers(0.5))
    for targets in (["swh_Latn", "tha_Thai", "urd_Arab", "hin_Deva"], ["swh_Latn", *others]):
        write_run("prefix", answers(0.5), target_languages=targets, target_size=50)
    (setting,) = read_settings(read(write_run))
    assert len(setting.systems) == 4
    long = [name for name in setting.systems if "target_languages=swh_Latn" in name]
    assert (
        len(long) == 2 and any("+3 more" in name for name in long) == short and ("prefix" in setting.systems) == short
    )


def test_how_a_run_was_computed_makes_no_other_system(write_run: WriteRun) -> None:
    for seed, device in enumerate(("cpu", "cuda")):
        write_run("prefix", answers(0.5), seed=seed, runtime={"device": device}, eval={"token_budget": 10 + seed})
    (setting,) = read_settings(read(write_run))
    assert len(setting.systems["prefix"]) == 2 and setting.seeds["prefix"] == {0, 1}


def test_shots_are_a_setting_of_their_own(write_run: WriteRun) -> None:
    write_run("prefix", answers(0.5), shots=4)
    assert [setting.title for setting in read_settings(read(write_run))] == ["terms", "terms, 4 shots"]


def test_shots_are_compared_where_that_is_asked(write_run: WriteRun) -> None:
    write_run("none", answers(0.3), shots=4)
    (setting,) = read_settings(read(write_run), across_shots=True)
    assert (setting.title, set(setting.systems)) == ("terms", {"none (shots=0)", "none (shots=4)"})


def test_names_that_are_given_hold_where_they_distinguish_systems(write_run: WriteRun) -> None:
    for length in (4, 8):
        write_run("prefix", answers(0.5), method={"length": length})
    table = read(write_run)
    ids = {row.settings.get("method.length", 0): row.Index for row in table.runs.itertuples()}
    for names, systems in (
        ({ids[4]: "short", ids[8]: "long"}, {"none", "short", "long"}),
        ({ids[4]: "mine", ids[8]: "mine"}, {"none", "prefix (length=4)", "prefix (length=8)"}),
        ({ids[0]: "base"}, {"base", "prefix (length=4)", "prefix (length=8)"}),
    ):
        (setting,) = read_settings(table, names=names)
        assert set(setting.systems) == systems


def test_a_system_with_next_to_nothing_is_left_out_and_not_the_languages_of_others(write_run: WriteRun) -> None:
    write_run("prefix", answers(0.5))
    write_run("lora", answers(0.5, codes=CODES[:1]))
    write_run("prefix", answers(0.5, n=3), train={"epochs": 9})
    (setting,) = read_settings(read(write_run))
    assert list(setting.systems) == ["none", "prefix"] and setting.languages == CODES
    assert "up to 360: " in setting.notes[0] and "(60)" in setting.notes[0] and "(18)" in setting.notes[0]


def test_of_two_systems_none_is_left_out(write_run: WriteRun) -> None:
    write_run("lora", answers(0.5, codes=CODES[:1]))
    (setting,) = read_settings(read(write_run))
    assert list(setting.systems) == ["none", "lora"]


def test_runs_that_were_tested_in_no_language_are_passed_over(write_run: WriteRun) -> None:
    folder = write_run("prefix", {})
    write_run("none", answers(0.3))
    table = read_table([folder])
    assert list(table.runs["method"]) == ["none"] and table.notes == ()


def test_models_of_one_name_and_other_weights_are_other_models() -> None:
    """A run of an earlier version, which recorded no weights, belongs to the name."""
    assert by_content([("m", "a" * 64), ("m", "a" * 64), ("m", "")]) == ["m", "m", "m"]
    assert by_content([("m", "a" * 64), ("m", "b" * 64), ("n", "c" * 64)]) == ["m [aaaaaaaa]", "m [bbbbbbbb]", "n"]


def test_every_value_has_its_place_and_only_common_examples_are_kept(write_run: WriteRun) -> None:
    write_run("x", {"eng_Latn": {"a": 1.0, "b": 0.0}, "swh_Latn": {"b": 0.5}})
    folder = write_run(
        "y", {"swh_Latn": {"b": 1.0}, "eng_Latn": {"b": 1.0, "a": 0.0, "c": 1.0}, "fin_Latn": {"b": 1.0}}
    )
    (setting,) = read_settings(read_table([folder]))
    found = setting.answers((0,))
    assert found.systems == ("x", "y") and found.languages == ("eng_Latn", "swh_Latn") and found.ids == ("a", "b")
    assert found.values[:, 0].tolist() == [[[1, 0], [0, 0.5]], [[0, 1], [0, 1]]]
    assert found.present.tolist() == [[True, True], [False, True]]
    assert found.scores.tolist() == [[0.5, 0.5], [0.5, 1]] and not found.binary
    assert setting.notes == (
        "1 of 3 languages left out, not every run has them: fin_Latn",
        "compared on the 3 examples that every run has; 1 others left out",
    )


@pytest.mark.parametrize("learned", [None, True, False])
def test_a_system_that_has_not_learned_is_named(write_run: WriteRun, learned: bool | None) -> None:
    """In every place that notes of a comparison reach; runs that measured nothing are taken as they are."""
    (folder,) = write_run("prefix", answers(0.5)).glob("*prefix*")
    values = json.loads((folder / "result.json").read_text())
    values["training"] = {} if learned is None else {"learned": learned}
    (folder / "result.json").write_text(json.dumps(values))
    (setting,) = read_settings(read(write_run))
    named = [note for note in setting.notes if "has not learned" in note]
    assert len(named) == (learned is False) and all(note.startswith("prefix: its run") for note in named)
