"""Law: runs that differ in their seed only are one system; names tell systems apart, the same way in every setting."""

from __future__ import annotations

from tests.analysis.conftest import CODES, WriteRun, answers

from polyprefix.analysis.runs import Run, read_runs
from polyprefix.analysis.settings import group_runs, setting_of


def read(write_run: WriteRun) -> list[Run]:
    return read_runs([write_run("none", answers(0.3))])[0]


def test_a_setting_that_varies_anywhere_is_named_everywhere(write_run: WriteRun) -> None:
    for length in (4, 8):
        write_run("prefix", answers(0.5), method={"length": length})
    write_run("prefix", answers(0.5), method={"length": 8}, task="xnli")
    names = {context.task: set(context.systems) for context in group_runs(read(write_run))}
    assert names == {"terms": {"none", "prefix (length=4)", "prefix (length=8)"}, "xnli": {"prefix (length=8)"}}


def test_how_a_run_was_computed_makes_no_other_system(write_run: WriteRun) -> None:
    for seed, device in enumerate(("cpu", "cuda")):
        write_run("prefix", answers(0.5), seed=seed, runtime={"device": device}, eval={"token_budget": 10 + seed})
    (context,) = group_runs(read(write_run))
    assert [run.seed for run in context.systems["prefix"]] == [0, 1]


def test_shots_are_a_setting_of_their_own(write_run: WriteRun) -> None:
    write_run("prefix", answers(0.5), shots=4)
    assert [context.title for context in group_runs(read(write_run))] == ["terms", "terms, 4 shots"]


def test_shots_are_compared_where_that_is_asked(write_run: WriteRun) -> None:
    write_run("none", answers(0.3), shots=4)
    (context,) = group_runs(read(write_run), across_shots=True)
    assert (context.title, set(context.systems)) == ("terms", {"none (shots=0)", "none (shots=4)"})


def test_names_that_are_given_hold_where_they_tell_systems_apart(write_run: WriteRun) -> None:
    for length in (4, 8):
        write_run("prefix", answers(0.5), method={"length": length})
    runs = read(write_run)
    ids = {run.settings.get("method.length", 0): run.result.run_id for run in runs}
    for names, systems in (
        ({ids[4]: "short", ids[8]: "long"}, {"none", "short", "long"}),
        ({ids[4]: "mine", ids[8]: "mine"}, {"none", "prefix (length=4)", "prefix (length=8)"}),
        ({ids[0]: "base"}, {"base", "prefix (length=4)", "prefix (length=8)"}),
    ):
        (context,) = group_runs(runs, names=names)
        assert set(context.systems) == systems


def test_a_system_with_next_to_nothing_is_left_out_and_not_the_languages_of_others(write_run: WriteRun) -> None:
    write_run("prefix", answers(0.5))
    write_run("lora", answers(0.5, codes=CODES[:1]))
    write_run("prefix", answers(0.5, n=3), train={"epochs": 9})
    (context,) = group_runs(read(write_run))
    setting = setting_of(context)
    assert setting.systems == ("none", "prefix") and setting.languages == CODES
    assert "up to 360: " in setting.notes[0] and "(60)" in setting.notes[0] and "(18)" in setting.notes[0]


def test_of_two_systems_none_is_left_out(write_run: WriteRun) -> None:
    write_run("lora", answers(0.5, codes=CODES[:1]))
    (context,) = group_runs(read(write_run))
    assert setting_of(context).systems == ("none", "lora")


def test_runs_that_were_tested_in_no_language_are_passed_over(write_run: WriteRun) -> None:
    folder = write_run("prefix", {})
    write_run("none", answers(0.3))
    runs, unread = read_runs([folder])
    assert [run.method for run in runs] == ["none"] and unread == []


def test_models_of_one_name_and_other_weights_are_other_models() -> None:
    """A run of an earlier version, which recorded no weights, belongs to the name."""
    from polyprefix.analysis.settings import _by_content

    assert _by_content([("m", "a" * 64), ("m", "a" * 64), ("m", "")]) == ["m", "m", "m"]
    assert _by_content([("m", "a" * 64), ("m", "b" * 64), ("n", "c" * 64)]) == ["m [aaaaaaaa]", "m [bbbbbbbb]", "n"]
