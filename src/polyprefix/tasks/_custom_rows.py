"""Rows of a data file as examples; every error of the file is told at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from polyprefix.data.cells import cell_text, shown
from polyprefix.data.files import read_table
from polyprefix.data.hub_rows import HubRows
from polyprefix.data.table import Row, Table
from polyprefix.data.validation_errors import ValidationErrors
from polyprefix.errors import LanguageError, nearest
from polyprefix.languages import Once, find
from polyprefix.tasks._custom_definition import Definition
from polyprefix.tasks._rows import ENGLISH
from polyprefix.tasks.base import Task, TaskInfo
from polyprefix.types import Example, Split


@dataclass(frozen=True, slots=True)
class Placed:
    """An example, and the place of its row."""

    example: Example
    where: str


def question(info: TaskInfo, inputs: Mapping[str, str], id: str, language: str) -> Example:
    """An example whose answer nobody knows: the first choice, or a question mark, stands in its place.

    Args:
        info: the header of the task.
        inputs: at least those that the header names.
    """
    choices = info.labels or tuple(inputs[name] for name in info.options)
    return Example(id, language, inputs, choices, references=choices[:1] or ("?",))


def read_inputs(row: Row, names: tuple[str, ...], errors: ValidationErrors) -> dict[str, str]:
    """The text of these columns; what is missing is an error."""
    inputs = {}
    for name in names:
        value = row.cells.get(name)
        text = cell_text(value)
        if text is None:
            errors.add(f"{row.where}, column '{name}'", shown(value), "text")
        else:
            inputs[name] = text
    return inputs


def require_columns(table: Table, wanted: Mapping[str, str], errors: ValidationErrors) -> bool:
    """Whether all of these columns are there; each that is missing is an error.

    Args:
        wanted: name -> what it is for.
    """
    missing = [name for name in wanted if name not in table.columns]
    for name in missing:
        expected = f"one for {wanted[name]}; {nearest(name, table.columns)}"
        errors.add(f"{table.where}, column '{name}'", "no such column", expected)
    return not missing


def read_examples(
    definition: Definition,
    task: Task,
    rows: Path | Table | HubRows,
    split: Split,
    language: str | None,
    hub: Path | None = None,
) -> dict[str, list[Placed]]:
    """Language -> the examples of a file, in its order.

    Args:
        rows: the file, what it would hold, or where the Hub has it.
        hub: a local mirror; None means POLYPREFIX_HUB, or the Hub itself.
        language: of all rows; None where a column says it. A file for training may lack that column: it is English then.

    Raises:
        DataError: with all errors of the file.
    """
    errors = ValidationErrors()
    if isinstance(rows, HubRows):
        table = rows.read(hub, errors)
    else:
        table = rows if isinstance(rows, Table) else read_table(rows, errors)
    reader = _Reader(definition, task, split, language, errors)
    if table.rows and reader.columns_are_there(table):
        for row in table.rows:
            reader.read(row)
    errors.check()
    return reader.examples


class _Reader:
    """Reads the rows of one file."""

    def __init__(
        self, definition: Definition, task: Task, split: Split, language: str | None, errors: ValidationErrors
    ) -> None:
        self.definition, self.task, self.split, self.errors = definition, task, split, errors
        self.language = language
        self.examples: dict[str, list[Placed]] = {}
        self._codes: dict[str, str | None] = {}
        self._once = Once()
        self._seen: dict[tuple[str, str], str] = {}
        self._count: dict[str, int] = {}

    def columns_are_there(self, table: Table) -> bool:
        """Whether the file has every column that is needed."""
        columns = self.definition.columns
        wanted = dict.fromkeys(self.task.info.inputs, "the question") | {columns.answer: "the answer"}
        if columns.id:
            wanted[columns.id] = "the id"
        if columns.language and self.language is None:
            if self.split == "test" or columns.language in table.columns:
                wanted[columns.language] = "the language"
            else:
                self.language = ENGLISH
        return require_columns(table, wanted, self.errors)

    def read(self, row: Row) -> None:
        """Take a row, or its errors."""
        language = self.language or self._language(row)
        inputs = read_inputs(row, self.task.info.inputs, self.errors)
        answer = self.definition.answer(row, inputs, self.errors)
        id = self._id(row, language) if language else None
        if language and id and answer and len(inputs) == len(self.task.info.inputs):
            choices, answers = answer
            example = replace(question(self.task.info, inputs, id, language), choices=choices, references=answers)
            self.examples.setdefault(language, []).append(Placed(example, row.where))

    def _language(self, row: Row) -> str | None:
        column = str(self.definition.columns.language)
        text = cell_text(row.cells.get(column))
        if text is None:
            self.errors.add(f"{row.where}, column '{column}'", "nothing", "a language, such as sw, swh_Latn or Swahili")
            return None
        if text not in self._codes:
            try:
                code = self._codes[text] = find(text, unregistered=True).code
                if repeated := self._once.take(code, text, row.where):
                    self.errors.add(
                        f"{row.where}, column '{column}'", repeated, "one way to write a language in a file"
                    )
            except LanguageError as error:
                self._codes[text] = None
                self.errors.add(f"{row.where}, column '{column}'", shown(text), f"a language ({error})")
        return self._codes[text]

    def _id(self, row: Row, language: str) -> str | None:
        column = self.definition.columns.id
        number = self._count[language] = self._count.get(language, -1) + 1
        own = f"{self.split}-{number}" if column is None else cell_text(row.cells.get(column))
        if own is None:
            self.errors.add(f"{row.where}, column '{column}'", shown(row.cells.get(str(column))), "an id")
            return None
        if (language, own) in self._seen:
            first = self._seen[language, own]
            self.errors.add(
                f"{row.where}, column '{column}'", f"{own!r}, as in {first}", "an id of its own in its language"
            )
            return None
        self._seen[language, own] = row.where
        return own if self.definition.is_parallel else f"{language}/{own}"
