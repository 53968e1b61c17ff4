"""A file of questions to a file of answers, of any size: read in chunks, resumed after an interruption, written whole or not at all.

scan      every row is checked before the model is loaded, and all errors are told at once
predict   chunk by chunk; the answers of each are kept (polyprefix.prediction.parts)
write     questions and answers side by side, in the format that the output's name says
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from polyprefix.atomic import writing
from polyprefix.calibration.questions import QuestionCalibration, QuestionPrior
from polyprefix.config import ENGLISH
from polyprefix.data import write
from polyprefix.data.table import Table
from polyprefix.prediction.answered import Answered, numbered
from polyprefix.prediction.parts import Answer, Parts
from polyprefix.prediction.predictor import Predictor, language_code
from polyprefix.prediction.rows import PREDICTION, examples_of, read_questions
from polyprefix.prediction.scan import CHUNK, scan
from polyprefix.progress import Bar, Reporter


def predict_file(
    ask: Predictor,
    questions: Path,
    out: Path,
    *,
    language: str = "en",
    calibration: QuestionCalibration = "none",
    chunk: int = CHUNK,
) -> int:
    """Answer every row of a file, and write rows and answers into another.

    Memory holds a chunk; with the calibration `batch` also the log-likelihoods of all rows, 8 bytes a label. A command that was
    interrupted goes on with the first chunk that is not answered.

    Args:
        questions: JSONL, CSV or Parquet, a column for each input of the task; other columns are copied.
        out: JSONL, CSV or Parquet. In CSV, and only there, `probabilities` of fixed labels are columns such as `probabilities.yes`.
        language, calibration: as of `Predictor`.
        chunk: rows that are kept together.

    Returns:
        How many rows there are.

    Raises:
        ConfigError: if the suffix of `out` is none of these, or as `Predictor`.
        DataError: with all that is wrong with the rows, or if one is too long for the model.
        OutputError: if `out` cannot be written, or another process writes it.
    """
    suffix, code = write.check_output(out), language_code(ask.task, language)
    prior = ask.prior(calibration, code)
    found = scan(ask, questions, chunk)
    job = {"questions": _digest(questions), "language": code, "chunk": chunk, **_identity(ask)}
    with Parts(out, job) as parts:
        with ask.reporter.phase("predict", found.rows) as bar:
            for number, table in numbered(questions, chunk):
                if number in parts:
                    bar.advance(len(table.rows), "answered before")
                else:
                    parts.put(number, _answers(ask, table, code, bar))
        answered = Answered(ask, questions, parts, code, chunk, _whole(prior, parts))
        with writing(out) as temporary:
            answered.write(temporary, suffix, found)
        parts.remove()
    return found.rows


@contextmanager
def as_file(ask: Predictor, questions: Path | Sequence[str | Mapping[str, Any]]) -> Iterator[Path]:
    """A file of questions: the one that is given, or one of given texts that exists inside the block.

    Raises:
        DataError: if texts lack inputs.
    """
    if isinstance(questions, Path):
        yield questions
        return
    rows = read_questions(questions, ask.task)
    examples_of(rows, ask.task, ENGLISH)  # what is wrong is told with the number of the text
    with TemporaryDirectory() as folder:
        path = Path(folder) / "questions.jsonl"
        write.write_jsonl(path, [[row.cells for row in rows]])
        yield path


def _digest(questions: Path) -> str:
    from polyprefix.models.cache import remembered_sha256

    return remembered_sha256(questions)


def _identity(ask: Predictor) -> dict[str, Any]:
    """Everything beside the questions that decides the answers."""
    from polyprefix import __version__
    from polyprefix.models.digest import ADAPTER, digest_of_folder
    from polyprefix.results.files import RESULT

    folder = digest_of_folder(ask.folder, (*ADAPTER, RESULT)) if ask.folder else None
    return {"version": __version__, "adapter": folder, **ask.identity}


def _answers(ask: Predictor, table: Table, code: str, bar: Bar) -> list[Answer]:
    examples = examples_of(table.rows, ask.task, code)
    encoded = ask.encode(examples)
    predictions = ask.predict(examples, encoded, _Inside(bar))
    return [
        {
            PREDICTION: one.prediction,
            **({"log_likelihoods": one.log_likelihoods} if one.log_likelihoods else {}),
            **({"cut": True} if item.cut else {}),
        }
        for one, item in zip(predictions, encoded, strict=True)
    ]


class _Inside(Reporter):
    """Progress of a chunk as part of that of the file."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar

    def say(self, line: str) -> None:
        """Nothing: the bar is being drawn."""

    def phase(self, title: str, total: int) -> AbstractContextManager[Bar]:
        """The bar of the file."""
        return nullcontext(self.bar)


def _whole(prior: QuestionPrior | None, parts: Parts) -> QuestionPrior | None:
    """The prior of all questions together, from their answers."""
    if prior is None or not prior.own:
        return prior
    chunks = [np.array([answer["log_likelihoods"] for answer in answers]) for answers in parts.all()]
    return prior.of_batch(np.concatenate(chunks))
