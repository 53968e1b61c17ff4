"""The English training data that Belebele's paper assembles, from the parts that can be had here.

L. Bandarkar et al., The Belebele Benchmark, ACL 2024 (arXiv 2308.16884): Belebele itself is for testing only; training
questions come from RACE (G. Lai et al., EMNLP 2017), SciQ (J. Welbl et al., W-NUT 2017), MultiRC (D. Khashabi et al.,
NAACL 2018), MCTest's 500 stories (M. Richardson et al., EMNLP 2013), MCScript 2.0 (S. Ostermann et al., *SEM 2019) and
ReClor (W. Yu et al., ICLR 2020): 67.5k questions to train on and 3.7k to develop on. Its rules, followed here:

- fill-in-the-blank questions (with `_`) of RACE and SciQ are left out, and SciQ's questions without a passage
- passages of more than 25 sentences are left out, but ReClor's, which are short
- of MultiRC only questions with one right answer and at least four answers; three wrong ones are drawn at random
- MCScript's two answers are padded to four with answers to other questions about the same text
- the development part is the sources' own; MCScript gives none, and no test split is used

Different here: ICU counts the sentences instead of NLTK, the random draws are others, and the original MCScript 1.0
(S. Ostermann et al., LREC 2018) stands in for 2.0. A part that is missing is left out and named in the result. From a
mirror with RACE short of 11,563 questions and without SciQ and ReClor, 41,416 questions to train on and 2,269 to validate
on remained (RACE 30,025, MultiRC 672, MCTest 1,032, MCScript 9,687), of which 37 and 1 shared a passage or question with
the test set and were dropped.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from polyprefix.data.hub import MissingDataError, expect_rows, load_rows
from polyprefix.errors import DataError
from polyprefix.scoring.segment import sentence_count
from polyprefix.tasks._rows import read_columns
from polyprefix.tasks.base import Source

Part = Literal["train", "validation"]
MOST_SENTENCES = 25


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a part, with four options."""

    id: str
    passage: str
    question: str
    options: tuple[str, ...]
    answer: int
    """Index of the right option."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One part: where its rows are, how many there should be, and how they become questions."""

    name: str
    dataset: str
    config: str | None
    columns: tuple[str, ...]
    rows: Mapping[Part, int]
    """Part -> published number of rows; the parts that the recipe uses."""
    questions: Callable[[Iterable[tuple[Any, ...]], str], Iterator[Question]]
    sentence_limit: bool = True


def training_questions(part: Part, source: Source) -> tuple[list[Question], list[str]]:
    """The questions of all parts that are there, and notes on what is missing or short.

    Raises:
        DataError: if no part is there, or rows are damaged or too many.
    """
    questions: list[Question] = []
    notes: list[str] = []
    used: list[str] = []
    for recipe in RECIPES:
        if part not in recipe.rows:
            continue
        try:
            rows = _rows(recipe, part, source)
        except DataError as error:
            missing = isinstance(error, MissingDataError)
            if source.hub is not None and not missing:
                raise  # a damaged file of a mirror has to be fixed; what the Hub does not serve cannot be
            notes.append(f"Belebele {part}: without {recipe.name} ({f'no {recipe.dataset}' if missing else error}).")
            continue
        if len(rows) < recipe.rows[part]:
            notes.append(f"Belebele {part}: {recipe.name} has {len(rows):,} of {recipe.rows[part]:,} rows here.")
        where = f"{recipe.dataset} {part}"
        made = recipe.questions(read_columns(rows, recipe.columns, where), where)
        kept = [q for q in made if not recipe.sentence_limit or _is_short(q.passage)]
        used.append(f"{recipe.name} {len(kept):,}")
        questions += kept
    if not questions:
        raise DataError(f"Belebele {part}: none of {', '.join(r.name for r in RECIPES)} is there; add ehovy/race")
    notes.append(f"Belebele {part}: {', '.join(used)} questions after the recipe's filters.")
    return questions, notes


def _rows(recipe: Recipe, part: Part, source: Source) -> Any:
    if source.hub is None and recipe.dataset.startswith("local/"):
        raise MissingDataError(f"{recipe.dataset}: not on the Hub; add it to a local mirror")
    rows = load_rows(recipe.dataset, recipe.config, part, source.hub)
    expect_rows(len(rows), recipe.rows[part], f"{recipe.dataset} {part}", subset_ok=True)
    return rows


@lru_cache(maxsize=1 << 16)
def _is_short(passage: str) -> bool:
    return sentence_count(passage) <= MOST_SENTENCES


def _shuffled(id: str, passage: str, question: str, right: str, wrong: Sequence[str]) -> Question:
    """The right option among three wrong ones, in an order that depends on the id alone."""
    options = [right, *wrong]
    random.Random(id).shuffle(options)
    return Question(id, passage, question, tuple(options), options.index(right))


def _race(rows: Iterable[tuple[Any, ...]], where: str) -> Iterator[Question]:
    number: Counter[str] = Counter()  # of the question within its article
    for row, (file, article, question, options, answer) in enumerate(rows):
        if answer not in tuple("ABCD") or len(options) != 4:
            raise DataError(f"{where}, row {row}: answer {answer!r} of {len(options)} options; expected A to D of 4")
        number[file] += 1
        if "_" not in question:
            yield Question(f"race-{file}-{number[file]}", article, question, tuple(options), "ABCD".index(answer))


def _sciq(rows: Iterable[tuple[Any, ...]], where: str) -> Iterator[Question]:
    for n, (support, question, right, *wrong) in enumerate(rows):
        if support.strip() and "_" not in question:
            yield _shuffled(f"sciq-{n}", support, question, right, wrong)


def _multirc(rows: Iterable[tuple[Any, ...]], where: str) -> Iterator[Question]:
    answers: dict[tuple[int, int], list[tuple[str, int]]] = defaultdict(list)
    texts: dict[tuple[int, int], tuple[str, str]] = {}
    for paragraph, question, answer, index, label in rows:
        key = (index["paragraph"], index["question"])
        answers[key].append((answer, label))
        texts[key] = (paragraph, question)
    for key, candidates in answers.items():
        right = [text for text, label in candidates if label == 1]
        wrong = [text for text, label in candidates if label == 0]
        if len(right) == 1 and len(wrong) >= 3:
            id = f"multirc-{key[0]}-{key[1]}"
            yield _shuffled(id, *texts[key], right[0], random.Random(id).sample(wrong, 3))


def _mctest(rows: Iterable[tuple[Any, ...]], where: str) -> Iterator[Question]:
    for row, (index, story, question, options, answer) in enumerate(rows):
        if answer not in options:
            raise DataError(f"{where}, row {row}: answer {answer!r}; expected one of {', '.join(options)}")
        id = f"{index['story']}-{index['question']}"
        yield Question(id, story, question, tuple(options.values()), list(options).index(answer))


def _mcscript(rows: Iterable[tuple[Any, ...]], where: str) -> Iterator[Question]:
    table = [(f"mcscript-{p}-{q}", p, text, asked, pair, label) for p, q, text, asked, *pair, label in rows]
    of_passage: dict[str, set[str]] = defaultdict(set)
    for _, passage, _, _, pair, _ in table:
        of_passage[passage].update(pair)
    correct = {pair[label] for *_, pair, label in table}
    for id, passage, text, asked, pair, label in table:
        own = {answer.casefold() for answer in pair}
        # as the source: from other questions about the text, else right answers of any question
        for pool in (of_passage[passage], correct):
            others = sorted({a.casefold(): a for a in sorted(pool) if a.casefold() not in own}.values())
            if len(others) >= 2:
                wrong = [pair[1 - label], *random.Random(id).sample(others, 2)]
                yield _shuffled(id, text, asked, pair[label], wrong)
                break


def _reclor(rows: Iterable[tuple[Any, ...]], where: str) -> Iterator[Question]:
    for n, (context, question, options, label) in enumerate(rows):
        yield Question(f"reclor-{n}", context, question, tuple(options), label)


RECIPES = (
    Recipe(
        "RACE", "ehovy/race", "all", ("example_id", "article", "question", "options", "answer"),
        {"train": 87_866, "validation": 4_887}, _race,
    ),
    Recipe(
        "SciQ", "allenai/sciq", None,
        ("support", "question", "correct_answer", "distractor1", "distractor2", "distractor3"),
        {"train": 11_679, "validation": 1_000}, _sciq,
    ),
    Recipe(
        "MultiRC", "aps/super_glue", "multirc", ("paragraph", "question", "answer", "idx", "label"),
        {"train": 27_243, "validation": 4_848}, _multirc,
    ),
    Recipe(
        "MCTest", "sagnikrayc/mctest", "mc500", ("idx", "story", "question", "answer_options", "answer"),
        {"train": 1_200, "validation": 200}, _mctest,
    ),
    Recipe(
        "MCScript 1.0", "local/mcscript", None,
        ("passage_id", "question_id", "passage", "question", "answer_0", "answer_1", "label"),
        {"train": 9_731}, _mcscript,
    ),
    Recipe(
        "ReClor", "metaeval/reclor", None, ("context", "question", "answers", "label"),
        {"train": 4_638, "validation": 500}, _reclor, sentence_limit=False,
    ),
)  # fmt: skip
