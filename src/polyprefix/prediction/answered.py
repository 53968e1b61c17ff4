"""Questions and their answers side by side, chunk by chunk, as CSV, JSONL or Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyprefix.calibration.questions import QuestionPrior
from polyprefix.data import write
from polyprefix.data.files import read_chunks
from polyprefix.data.parquet_files import arrow_chunks
from polyprefix.data.table import Table
from polyprefix.data.validation_errors import ValidationErrors
from polyprefix.prediction.parts import Parts
from polyprefix.prediction.predictor import Predictor
from polyprefix.prediction.rows import CALIBRATION, CUT, PREDICTION, PROBABILITIES, examples_of, shown_answer
from polyprefix.types import Example, Prediction

if TYPE_CHECKING:
    from polyprefix.prediction.scan import Scan


@dataclass(frozen=True, slots=True)
class Answered:
    """A file of questions whose answers are all kept."""

    ask: Predictor
    questions: Path
    parts: Parts
    language: str
    """Our code."""
    chunk: int
    prior: QuestionPrior | None
    """What is divided out of the probabilities."""

    def write(self, path: Path, suffix: str, found: Scan) -> None:
        """Write the file.

        Args:
            path: where; its name says nothing.
            suffix: `.jsonl`, `.csv` or `.parquet`.
            found: by the scan of the questions.

        Raises:
            OSError: if it cannot be written.
            DataError: if the questions have changed since, or a value does not fit its column of a Parquet file.
        """
        if suffix == ".jsonl":
            merged = (
                [{**row, **answer} for row, answer in zip(rows, answers, strict=True)]
                for rows, answers in self._chunks()
            )
            write.write_jsonl(path, merged)
        elif suffix == ".csv":
            flat = (
                [{**row, **self._flat(answer)} for row, answer in zip(rows, answers, strict=True)]
                for rows, answers in self._chunks()
            )
            write.write_csv(path, [*found.kinds, *self._columns()], flat)
        else:
            self._write_parquet(path, found)

    def _chunks(self) -> Iterator[tuple[list[Mapping[str, Any]], list[dict[str, Any]]]]:
        """The cells of rows, and what their answers add."""
        for number, table in numbered(self.questions, self.chunk):
            examples = examples_of(table.rows, self.ask.task, self.language)
            kept = self.parts.get(number) or []
            predictions = [_prediction(example, answer) for example, answer in zip(examples, kept, strict=True)]
            if self.prior is not None:
                predictions = self.prior.applied(examples, predictions)
            said = self.prior.name if self.prior else None
            answers = [
                shown_answer(example, prediction, said, answer.get("cut", False))
                for example, prediction, answer in zip(examples, predictions, kept, strict=True)
            ]
            yield [row.cells for row in table.rows], answers

    def _columns(self) -> list[str]:
        """The columns of answers in CSV."""
        labels = self.ask.task.info.labels
        shares = [f"{PROBABILITIES}.{label}" for label in labels] or ([PROBABILITIES] if self._chooses() else [])
        return [PREDICTION, *shares, *([CALIBRATION] if self.prior else []), *([CUT] if self._any_cut() else [])]

    def _chooses(self) -> bool:
        return bool(self.ask.task.info.labels or self.ask.task.info.options)

    def _any_cut(self) -> bool:
        return any(answer.get("cut") for answers in self.parts.all() for answer in answers)

    def _flat(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """An answer whose probabilities of fixed labels are columns of their own."""
        if not self.ask.task.info.labels:
            return dict(answer)
        shares = {f"{PROBABILITIES}.{label}": share for label, share in answer[PROBABILITIES].items()}
        return {name: value for name, value in answer.items() if name != PROBABILITIES} | shares

    def _write_parquet(self, path: Path, found: Scan) -> None:
        import pyarrow as pa

        added = self._fields()
        if self.questions.suffix.lower() == ".parquet":  # with the types of the file
            own = arrow_chunks(self.questions, self.chunk, errors := ValidationErrors())
            first = next(own)
            errors.check()
            tables = (table for part in ([first], own) for table in part)
            fields = list(first.schema)
            write.write_parquet(path, pa.schema([*fields, *added]), (
                pa.table([*table.columns, *_arrays(answers, added)], schema=pa.schema([*fields, *added]))
                for table, (_, answers) in zip(tables, self._chunks(), strict=True)
            ))  # fmt: skip
            return
        fields = [write.arrow_field(name, kinds) for name, kinds in found.kinds.items()]
        schema = pa.schema([*fields, *added])
        write.write_parquet(path, schema, (
            pa.table([*_arrays(rows, fields), *_arrays(answers, added)], schema=schema) for rows, answers in self._chunks()
        ))  # fmt: skip

    def _fields(self) -> list[Any]:
        """The fields of answers in Parquet: probabilities of fixed labels are a struct, of others a map."""
        import pyarrow as pa

        labels = self.ask.task.info.labels
        kind = pa.struct([(label, pa.float64()) for label in labels]) if labels else pa.map_(pa.string(), pa.float64())
        return [
            pa.field(PREDICTION, pa.string()),
            *([pa.field(PROBABILITIES, kind)] if self._chooses() else []),
            *([pa.field(CALIBRATION, pa.string())] if self.prior else []),
            *([pa.field(CUT, pa.bool_())] if self._any_cut() else []),
        ]


def numbered(questions: Path, chunk: int) -> Iterator[tuple[int, Table]]:
    """The chunks of a file that was checked, with their numbers.

    Raises:
        DataError: if it cannot be read any more.
    """
    errors = ValidationErrors()
    yield from zip(count(), read_chunks(questions, chunk, errors), strict=False)
    errors.check()


def _prediction(example: Example, answer: Mapping[str, Any]) -> Prediction:
    log_likelihoods = tuple(answer.get("log_likelihoods", ()))
    return Prediction(example.id, example.language, example.references, answer[PREDICTION], log_likelihoods)


def _arrays(rows: Sequence[Mapping[str, Any]], fields: Sequence[Any]) -> list[Any]:
    """Rows as columns."""
    import pyarrow as pa

    columns = []
    for field in fields:
        values = [row.get(field.name) for row in rows]
        if pa.types.is_map(field.type):
            values = [list(dict(value or {}).items()) for value in values]
        columns.append(
            pa.array(values, field.type) if pa.types.is_nested(field.type) else write.arrow_column(values, field)
        )
    return columns
