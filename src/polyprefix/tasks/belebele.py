"""belebele: a passage, a question and four answers, in 122 languages.

Source    facebook/belebele on the Hugging Face Hub; L. Bandarkar et al., The Belebele Benchmark: a Parallel Reading
          Comprehension Dataset in 122 Language Variants, ACL 2024 (arXiv 2308.16884). The passages are FLORES-200's.
Licence   CC BY-SA 4.0; each part of the training data has its own terms.
Texts     English written by people; the other languages translated from it by people.
Splits    test 900 rows a language (488 passages). Train and validation (English): the paper's recipe, 67.5k and 3.7k
          questions of RACE, SciQ, MultiRC, MCTest, MCScript and ReClor; see _belebele_training for its rules.
Shots     English validation; the source has no development data of its own.
Cut       the end of a passage that is too long for a model.
Prompt    one English template in all languages, instruction first; the answer is a letter.
Labels    A, B, C, D.
Metric    accuracy.
Deviates  from the source, which fine-tunes encoders with a head per option and prompts chat models in another wording,
          and from lm-evaluation-harness, whose scaffold is `P: .. Q: .. A: ..` without an instruction.

Rows are parallel, but not in the same order: an id is made of the passage's link and the number of the question.
Where a local mirror has Javanese and Sundanese only as SEA-HELM's selection of 280 rows, that is read instead, and the
result says so; its rows carry no link, so their ids pair these two languages with each other only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyprefix.data.hub import MissingDataError, expect_rows, load_rows
from polyprefix.errors import DataError
from polyprefix.tasks._belebele_training import Question, training_questions
from polyprefix.tasks._codes import BELEBELE as LANGUAGES
from polyprefix.tasks._rows import read_columns, require_language, require_text, without_shared
from polyprefix.tasks._task_types import MultipleChoice, TypedTask
from polyprefix.tasks.base import ENGLISH, Source, TaskInfo
from polyprefix.types import Example, Split

BELEBELE = "facebook/belebele"
ROWS = 900
SUBSET, SUBSET_ROWS = "local/belebele-seahelm-subset", 280
LABELS = ("A", "B", "C", "D")
FIELDS = ("passage", "question", *LABELS)
COLUMNS = ("flores_passage", "question", "mc_answer1", "mc_answer2", "mc_answer3", "mc_answer4", "correct_answer_num")
TEMPLATE = """Read the passage and answer the question with A, B, C or D.
Passage: {passage}
Question: {question}
A: {A}
B: {B}
C: {C}
D: {D}
Answer:"""


class Belebele(TypedTask):
    """Multiple-choice reading comprehension with four options."""

    task_type = MultipleChoice(len(LABELS))
    template = TEMPLATE
    cuttable = "passage"

    info = TaskInfo(
        name="belebele",
        title="Which of four answers does the passage give?",
        source=BELEBELE,
        licence="CC BY-SA 4.0",
        metrics=task_type.metrics,
        chance=task_type.chance,
        parallel=True,
        origin="translated by people",
        origins={ENGLISH: "original"},
        inputs=FIELDS,
        labels=LABELS,
        splits={
            "train": "English: RACE, SciQ, MultiRC, MCTest, MCScript, ReClor as the paper combines them, 67.5k rows",
            "validation": "English: the development parts of the same, 3.7k rows",
            "test": "test, 900 rows in each of 122 languages",
        },
        deviations=(
            "Belebele: an English prompt in all languages, answered with a letter; the source fine-tunes with a head",
            "Belebele training: sentences counted by ICU, MCScript 1.0 in place of 2.0; otherwise the paper's rules",
        ),
    )

    def languages(self) -> tuple[str, ...]:
        """The 122 codes, English first."""
        return LANGUAGES

    def examples(self, split: Split, language: str, source: Source) -> Sequence[Example]:
        """All rows of a split; a test id is `link#number` of its question and so the same in all languages.

        Raises:
            LanguageError: if the task has no such language, or only a test split in it.
            DataError: if rows are missing, too many, or malformed; what training data lacks is noted instead.
        """
        require_language("belebele", split, language, LANGUAGES)
        if split != "test":
            return self._assembled("train" if split == "train" else "validation", source)
        try:
            rows = load_rows(BELEBELE, language, "test", source.hub)
        except MissingDataError as missing:
            return self._subset(language, source, missing)
        where = f"{BELEBELE} {language} test"
        expect_rows(len(rows), ROWS, where)
        ids = [f"{link}#{number}" for link, number in read_columns(rows, ("link", "question_number"), where)]
        if len(set(ids)) != len(ids):
            raise DataError(f"{where}: {len(ids) - len(set(ids))} repeated (link, question_number); fetch it again")
        return _read(rows, ids, language, where)

    def _assembled(self, part: Any, source: Source) -> Sequence[Example]:
        questions, notes = training_questions(part, source)
        examples = [_assembled_example(question, part) for question in questions]
        test = self.examples("test", ENGLISH, source)
        kept, note = without_shared(f"Belebele {part}", examples, test, ["passage", "question"])
        source.note(*notes, note)
        return kept

    def _subset(self, language: str, source: Source, missing: MissingDataError) -> Sequence[Example]:
        if source.hub is None:  # the subset is a name of local mirrors only
            raise missing
        try:
            rows = load_rows(SUBSET, language, "test", source.hub)
        except MissingDataError:
            raise missing from None  # the benchmark itself is what the user has to fix
        where = f"{SUBSET} {language} test"
        expect_rows(len(rows), SUBSET_ROWS, where)
        source.note(
            f"Belebele {language}: a subset, SEA-HELM's {len(rows)} of the {ROWS} published rows; "
            "its ids are not those of other languages."
        )
        ids = [f"seahelm-{number}" for (number,) in read_columns(rows, ("seahelm_id",), where)]
        return _read(rows, ids, language, where)


def _read(rows: Mapping[str, Any], ids: Sequence[str], language: str, where: str) -> list[Example]:
    cells = zip(ids, read_columns(rows, COLUMNS, where), strict=True)
    return [_example(f"{where}, row {row}", id, language, *values) for row, (id, values) in enumerate(cells)]


def _example(where: str, id: str, language: str, *cells: object) -> Example:
    *texts, correct = cells
    if str(correct) not in ("1", "2", "3", "4"):
        raise DataError(f"{where}: correct_answer_num {correct!r}, expected 1 to 4; fetch the data again")
    inputs = {name: require_text(text, where, name) for name, text in zip(FIELDS, texts, strict=True)}
    return Example(id, language, inputs, choices=LABELS, references=(LABELS[int(str(correct)) - 1],))


def _assembled_example(question: Question, part: str) -> Example:
    texts = (question.passage, question.question, *question.options)
    inputs = dict(zip(FIELDS, texts, strict=True))
    return Example(f"{part}-{question.id}", ENGLISH, inputs, choices=LABELS, references=(LABELS[question.answer],))


TASK = Belebele()
