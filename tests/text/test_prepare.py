"""What a run reads: languages as people write them, English always, the same test ids in each, few-shot examples that are nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from polyprefix.adapters.registry import resolve
from polyprefix.config import RunConfig
from polyprefix.data.hub import MissingDataError
from polyprefix.errors import LanguageError
from polyprefix.tasks.base import Source
from polyprefix.tasks.terms import TASK, Terms
from polyprefix.testing.tiny import tiny_tokenizer
from polyprefix.text.prepare import choose_languages, load_examples, tokenise
from polyprefix.text.tokens import common_prefix_length
from polyprefix.types import Example, Split


def config(**more: object) -> RunConfig:
    return resolve(RunConfig(model="m", task="terms", languages=("sw", "Thai"), eval_size=12, train_size=20, **more))


def test_languages_as_people_write_them_and_english_first() -> None:
    def chosen(languages: tuple[str, ...] | str) -> tuple[str, ...]:
        return choose_languages(TASK, config().model_copy(update={"languages": languages}))

    assert chosen(("Swahili", "th", "en")) == ("eng_Latn", "swh_Latn", "tha_Thai")
    with pytest.raises(LanguageError, match="languages: 'Swahili' and 'swh_Latn' are both Swahili"):
        chosen(("Swahili", "th", "swh_Latn"))
    assert chosen("all")[0] == "eng_Latn" and len(chosen("all")) > 70
    assert chosen(()) == ("eng_Latn",)
    with pytest.raises(LanguageError, match="Swahili"):
        chosen(("swahilli",))


def test_test_ids_are_nested_and_never_in_training() -> None:
    small, large = (load_examples(TASK, config().model_copy(update={"eval_size": n}), Source()) for n in (12, 30))
    for language, rows in small.test.items():
        assert {e.id for e in rows} <= {e.id for e in large.test[language]}
    assert len({e.id for e in small.train}) == 20
    assert not {e.id for e in small.train} & {e.id for rows in large.test.values() for e in rows}


def test_languages_may_each_have_ids_of_their_own_and_english_ten_times_as_many() -> None:
    same, spread, seeded = (
        load_examples(TASK, config(**more), Source())
        for more in ({}, {"eval_ids": "disjoint"}, {"eval_ids": "disjoint", "seed": 3})
    )
    ids = {code: {e.id for e in rows} for code, rows in spread.test.items()}
    assert {code: len(found) for code, found in ids.items()} == {"eng_Latn": 120, "swh_Latn": 12, "tha_Thai": 12}
    assert len(ids["swh_Latn"] & ids["tha_Thai"]) < 6 and "each its own ids" in " ".join(spread.notes)
    assert spread.test == seeded.test  # the same for every run
    assert len({e.id for e in same.test["swh_Latn"]} & {e.id for e in same.test["tha_Thai"]}) >= 6


@pytest.mark.parametrize("method", ["none", "prefix"])
def test_shots_stand_in_front_of_every_prompt_and_nowhere_else(method: str) -> None:
    settings = config(shots=3, method={"name": method})
    examples = load_examples(TASK, settings, Source())
    shots = examples.shots["swh_Latn"]
    assert len(shots) == 3 and all(items == shots for items in examples.shots.values())
    assert not {e.id for e in shots} & {e.id for e in (*examples.train, *examples.validation)}
    tokens = tokenise(TASK, examples, tiny_tokenizer(), 2048)
    rows = [item.ids for items in tokens.test.values() for item in items]
    shared = tiny_tokenizer().decode(rows[0][: common_prefix_length(rows)])
    for example in shots:
        assert f"Name: {example.inputs['name']}\nAnswer: {example.references[0]}" in shared
    assert any("3 few-shot examples" in note and "in English" in note for note in examples.notes)
    assert examples.shots != load_examples(TASK, config(shots=3, seed=5, method={"name": method}), Source()).shots


def test_of_all_languages_those_without_data_are_left_out_and_named_but_none_that_was_asked_for() -> None:
    class Partial(Terms):
        absent = "tha_Thai"

        def examples(self, split: Split, language: str, source: Source) -> Sequence[Example]:
            if language == self.absent:
                raise MissingDataError(f"no configuration {language}")
            return super().examples(split, language, source)

    everything = config().model_copy(update={"languages": "all"})
    examples = load_examples(Partial(), everything, Source())
    assert set(examples.test) == set(TASK.languages()) - {"tha_Thai"}
    assert any(note.startswith("No data here, left out: 1 of") and "tha_Thai" in note for note in examples.notes)
    with pytest.raises(MissingDataError):
        load_examples(Partial(), config(), Source())
    Partial.absent = "eng_Latn"
    with pytest.raises(MissingDataError):
        load_examples(Partial(), everything, Source())


def test_notes_belong_to_one_run() -> None:
    source = Source()
    first, second = (load_examples(TASK, config(), source) for _ in range(2))
    assert first.notes == second.notes and not source.notes


def test_cut_contexts_are_counted_by_language() -> None:
    class Long(Terms):
        cuttable = "name"

    examples = load_examples(Long(), config(), Source())
    tokens = tokenise(Long(), examples, tiny_tokenizer(), 90)
    cut = {code: sum(item.cut for item in items) for code, items in tokens.test.items()}
    assert cut["tha_Thai"] > cut["swh_Latn"]  # three bytes a letter
    assert (
        f"{cut['tha_Thai']} of 12 contexts cut to 90 tokens with question and answer, language tha_Thai."
        in tokens.notes
    )
    assert not tokenise(Long(), examples, tiny_tokenizer(), 900).notes
