"""Law: shots are in the language asked for, the same items in each, training keeps to English, and what is tested is never a shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from polyprefix.adapters.registry import resolve
from polyprefix.config import RunConfig
from polyprefix.errors import DataError, LanguageError
from polyprefix.tasks import registry
from polyprefix.tasks._task_types import Classification, TypedTask
from polyprefix.tasks.base import Source
from polyprefix.tasks.terms import TASK as TERMS
from polyprefix.testing.tiny import tiny_tokenizer
from polyprefix.text.prepare import load_examples, tokenise
from polyprefix.text.shots import choose_shot_languages, with_shots
from polyprefix.text.tokens import common_prefix_length
from polyprefix.types import Example, Split

LABELS = ("yes", "no")
SIZES: dict[Split, int] = {"train": 30, "validation": 20, "test": 10}


class Made(TypedTask):
    """A parallel task in three languages, with development data in two."""

    info = replace(TERMS.info, name="made", deviations=())
    template = "Yes or no?\nPassage: {passage}\nAnswer:"
    task_type = Classification(LABELS)
    cuttable = "passage"

    def languages(self) -> tuple[str, ...]:
        return ("eng_Latn", "deu_Latn", "swh_Latn")

    def shot_languages(self) -> tuple[str, ...]:
        return ("eng_Latn", "deu_Latn")

    def examples(self, split: Split, language: str, source: Source) -> Sequence[Example]:
        rows = [self._row(split, i, language) for i in range(SIZES[split])]
        if split == "validation":  # two rows that are in the test set, one under its id and one under another
            rows[3], rows[4] = self._row("test", 3, language), replace(self._row("test", 4, language), id="copied")
        return rows if language == "eng_Latn" else rows[::-1]

    def _row(self, split: str, i: int, language: str) -> Example:
        return Example(f"{split}-{i}", language, {"passage": f"{language} {split} {i}"}, LABELS, (LABELS[i % 2],))


def config(**more: object) -> RunConfig:
    settings = {"model": "m", "task": "made", "method": "none", "shots": 4, **more}
    return resolve(RunConfig(**settings))  # type: ignore[arg-type]


def test_shots_in_english_in_the_target_language_and_in_another() -> None:
    languages = {"languages": ("eng_Latn", "deu_Latn")}
    for wanted, expected in (
        ("english", {"eng_Latn": "eng_Latn", "deu_Latn": "eng_Latn"}),
        ("target", {"eng_Latn": "eng_Latn", "deu_Latn": "deu_Latn"}),
        ("German", {"eng_Latn": "deu_Latn", "deu_Latn": "deu_Latn"}),
    ):
        examples = load_examples(Made(), config(**languages, shot_language=wanted), Source())
        found = {code: {e.language for e in shots} for code, shots in examples.shots.items()}
        assert found == {code: {language} for code, language in expected.items()}
        ids = {tuple(e.id for e in shots) for shots in examples.shots.values()}
        assert len(ids) == 1 and len(next(iter(ids))) == 4  # the same items, whatever their language and order
        assert any("4 few-shot examples" in note for note in examples.notes)


def test_training_keeps_to_english() -> None:
    settings = config(method="prefix", shot_language="target", train={"steps": 2, "validation_size": 50})
    examples = load_examples(Made(), settings.model_copy(update={"languages": ("deu_Latn",)}), Source())
    assert {e.language for e in (*examples.train, *examples.validation, *examples.train_shots)} == {"eng_Latn"}
    assert len(examples.train_shots) == 4
    shots = {e.id for items in (*examples.shots.values(), examples.train_shots) for e in items}
    assert shots.isdisjoint(e.id for e in (*examples.validation, *examples.train))
    assert any("training prompts carry English ones" in note for note in examples.notes)
    tokens = tokenise(Made(), examples, tiny_tokenizer(), 4096)
    assert "eng_Latn validation" in tokens.instruction and "deu_Latn" not in tokens.instruction
    for part, language in ((tokens.train, "eng_Latn"), (tokens.test["deu_Latn"], "deu_Latn")):
        rows = [item.ids for item in part]
        shared = tiny_tokenizer().decode(rows[0][: common_prefix_length(rows)])
        assert shared.count(f"{language} validation") == 4  # computed once for all


def test_what_is_tested_is_never_a_shot() -> None:
    examples = load_examples(Made(), config(shots=18, shot_language="target", languages=("deu_Latn",)), Source())
    for shots in examples.shots.values():
        assert all("validation" in e.inputs["passage"] for e in shots) and len(shots) == 18
    with pytest.raises(
        DataError, match="19 shots: the development data of made in eng_Latn has 18; ask for at most 18"
    ):
        load_examples(Made(), config(shots=19, languages=()), Source())


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("target", "made has no development data in swh_Latn, only in eng_Latn, deu_Latn; take shots from there"),
        ("sw", "made has no development data in swh_Latn"),
        ("swahilli", "did you mean Swahili"),
    ],
)
def test_a_language_without_development_data_is_refused_with_what_there_is(wanted: str, words: str) -> None:
    settings = config(shot_language=wanted)
    with pytest.raises(LanguageError, match=words) as error:
        choose_shot_languages(Made(), Made().languages(), settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("task", "there"), [("belebele", False), ("xquad", False), ("mgsm", True), ("xnli", True)])
def test_which_benchmarks_have_shots_in_the_target_language(task: str, there: bool) -> None:
    settings = config(task=task, shot_language="target")
    languages = ("eng_Latn", "deu_Latn", "swh_Latn" if task != "xquad" else "tha_Thai")
    if there:
        assert choose_shot_languages(registry.get(task), languages, settings) == {code: code for code in languages}
    else:
        with pytest.raises(LanguageError, match=f"{task} has no development data in deu_Latn, .*, only in eng_Latn"):
            choose_shot_languages(registry.get(task), languages, settings)


def test_without_shots_their_language_decides_nothing() -> None:
    assert config(shots=0, shot_language="target").run_id() == config(shots=0).run_id()
    assert config(shot_language="target").run_id() != config().run_id()
    assert choose_shot_languages(Made(), Made().languages(), config(shots=0, shot_language="target")) == {}


def test_the_context_that_may_be_cut_is_still_found_behind_the_shots() -> None:
    task = Made()
    shots, items = task.examples("train", "eng_Latn", Source())[:2], task.examples("test", "eng_Latn", Source())[:1]
    [prompt] = with_shots(task, shots, [task.prompt(item) for item in items])
    assert prompt.context is not None and prompt.text[slice(*prompt.context)] == items[0].inputs["passage"]
    assert prompt.text.startswith("Yes or no?\nPassage: eng_Latn train 0\nAnswer: yes\n\nYes or no?")


@pytest.mark.hub
def test_mgsm_shots_are_its_eight_solved_problems_in_every_language(hub: Path) -> None:
    task = registry.get("mgsm")
    settings = config(task="mgsm", shots=8, shot_language="target", languages=("bn", "th"), eval_size=2)
    examples = load_examples(task, settings, Source(hub))
    for language, shots in examples.shots.items():
        assert {e.references[-1] for e in shots} == {"11", "29", "39", "9", "33", "8", "5"}
        assert {e.language for e in shots} == {language}
    english = examples.shots["eng_Latn"][0]
    assert not english.inputs["question"].startswith("Question") and "The answer is" in english.references[0]
