"""Tasks from rows in memory: a pandas data frame or a dataset of `datasets`, with what a task file would say as arguments.

frame -> Arrow table -> rows by split -> the same definition, validation and messages as a task file
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from polyprefix.data.cells import cell_text, shown
from polyprefix.data.hub import with_label_names
from polyprefix.data.table import Row, Table, arrow_table, table_of
from polyprefix.data.validation_errors import ValidationErrors
from polyprefix.errors import ConfigError, DataError, nearest
from polyprefix.settings import validate
from polyprefix.tasks._custom import CustomTask
from polyprefix.tasks._custom_definition import ANY, TASK_TYPES
from polyprefix.tasks._custom_types import DEFINITIONS
from polyprefix.types import Split

if TYPE_CHECKING:
    import datasets
    import pandas as pd

SPLITS: Mapping[str, Split] = {
    "train": "train", "training": "train", "test": "test", "validation": "validation", "valid": "validation", "val": "validation",
    "dev": "validation",
}  # fmt: skip
"""What a column of splits may say."""
TEMPLATES: Mapping[str, str] = {
    "classification": "Choose the label of the text: {labels}.\n\nText: {{{text}}}\nLabel:",
    "multiple-choice": "Answer the question.\n\nQuestion: {{{text}}}\n{options}\nAnswer:",
    "span": "Answer the question with words of the text.\n\nText: {{{context}}}\nQuestion: {{{text}}}\nAnswer:",
    "generation": "{{{text}}}\nAnswer:",
}
"""The prompt of a task type where no template is given."""


class Task(CustomTask):
    """A task from rows in memory. Benchmarks and task files come from `load_task`; all are used in the same way."""

    @classmethod
    def from_pandas(
        cls,
        frame: pd.DataFrame | Mapping[str, pd.DataFrame],
        *,
        task_type: str,
        name: str = "task",
        text: str = "text",
        label: str = "label",
        language: str | None = None,
        split: str = "split",
        labels: Sequence[str] | Mapping[str, str] | None = None,
        template: str | None = None,
        id: str | None = None,
        **more: Any,
    ) -> Task:
        """A task from a data frame.

        Args:
            frame: one with a column of splits, or a mapping of splits to frames. Training and
                validation read its rows in the source languages, English by default.
            task_type: `classification`, `multiple-choice`, `span` or `generation`, as in task files (docs/task-file.md).
            name: what results call the task.
            text: the column of the text or the question, where `template` is not given.
            label: the column of the answer; of spans and generated answers it may hold lists of accepted answers.
            language: the column of the language, in any form that people write (sw, swh_Latn, Swahili); by default `language` where
                there is such a column, otherwise all rows are English.
            split: the column of the split: train, validation or test. Without validation rows a tenth of training is held out.
            labels: of a classification, what the model answers: a list, or a mapping of what the column says to it; by default the values
                of the column.
            template: the prompt with names of columns in braces; by default a short one for the task type.
            id: the column of an id that is the same for the same item in every language.
            more: other keys of a task file: `choices` (the columns of the options), `context`, `metric`, `stop`,
                `max_new_tokens`, `title`, ...

        Raises:
            ConfigError: for an unknown task type, or settings that do not fit it.
            DataError: with all that is wrong with the rows.
        """
        frames = dict(frame) if isinstance(frame, Mapping) else {"": frame}
        tables = {part: _named_arrow(one, f"data frame{f' {part!r}' if part else ''}") for part, one in frames.items()}
        columns = {"text": text, "answer": label, "language": language, "split": split, "id": id}
        return cls._from_arrow(tables, task_type, name, columns, labels, template, more)

    @classmethod
    def from_dataset(
        cls, dataset: datasets.Dataset | datasets.DatasetDict, *, task_type: str, label: str = "label", **settings: Any
    ) -> Task:
        """A task from a dataset of `datasets`, or from a DatasetDict, whose keys are the splits.

        Numbers of a `ClassLabel` column become its names.

        Args:
            dataset: as for `from_pandas`, of which all other arguments are those too.

        Raises:
            ConfigError, DataError: as `from_pandas`.
        """
        parts = dict(dataset) if isinstance(dataset, Mapping) else {"": dataset}
        tables = {}
        for part, one in parts.items():
            tables[part] = (with_label_names(one), f"dataset{f' {part!r}' if part else ''}")
        columns = {
            "text": settings.pop("text", "text"), "answer": label, "language": settings.pop("language", None),
            "split": settings.pop("split", "split"), "id": settings.pop("id", None),
        }  # fmt: skip
        name, labels = settings.pop("name", "task"), settings.pop("labels", None)
        return cls._from_arrow(tables, task_type, name, columns, labels, settings.pop("template", None), settings)

    @classmethod
    def _from_arrow(
        cls,
        tables: Mapping[str, tuple[Any, str]],
        task_type: str,
        name: str,
        columns: Mapping[str, Any],
        labels: Sequence[str] | Mapping[str, str] | None,
        template: str | None,
        more: Mapping[str, Any],
    ) -> Task:
        """The task of Arrow tables, each with what an error calls it."""
        if task_type not in DEFINITIONS:
            raise ConfigError(f"task '{name}': no task type '{task_type}', {nearest(task_type, TASK_TYPES)}")
        errors = ValidationErrors()
        parts = {part: table_of(content, where, errors) for part, (content, where) in tables.items()}
        by_split = _by_split(parts, columns["split"], errors)
        errors.check()
        found = {column for table in by_split.values() for column in table.columns}
        language = columns["language"] or ("language" if "language" in found else None)
        values = _settings(task_type, columns, labels, template, more, by_split)
        values["columns"] = {"answer": columns["answer"], "id": columns["id"], "language": language}
        definition = validate(DEFINITIONS[task_type], values, f"task '{name}'")
        for keys, what, expected in definition.contradictions():
            errors.add(f"task '{name}', '{'.'.join(keys)}'", what, expected)
        errors.check(ConfigError)
        if "test" not in by_split:
            raise DataError(f"task '{name}': found no test rows, expected some; add them")
        task = cls(name, definition, {split: {ANY: table} for split, table in by_split.items()}, None)
        for split in by_split:
            task._rows(split, ANY)  # what is wrong with rows is told now, and not after minutes of training
        return task


def _named_arrow(frame: pd.DataFrame, where: str) -> tuple[Any, str]:
    return arrow_table(frame, where), where


def _by_split(parts: Mapping[str, Table], column: str, errors: ValidationErrors) -> dict[Split, Table]:
    """The rows of each split, from a table for each or from one with a column that says it."""
    found: dict[Split, list[Row]] = {}
    names: dict[str, None] = {}
    for part, table in parts.items():
        names |= dict.fromkeys(table.columns)
        if not part and table.rows and column not in table.columns:
            expected = f"one that says train, validation or test; or give a mapping of splits to tables; {nearest(column, table.columns)}"
            errors.add(f"{table.where}, column '{column}'", "no such column", expected)
            continue
        for row in table.rows:
            value = part or row.cells.get(column)
            text = (cell_text(value) or "").lower()
            if text in SPLITS:
                found.setdefault(SPLITS[text], []).append(row)
            else:
                place = f"split '{part}'" if part else f"{row.where}, column '{column}'"
                errors.add(place, shown(value), "train, validation or test")
                if part:
                    break
    return {split: Table(rows[0].where, tuple(names), tuple(rows)) for split, rows in found.items()}


def _settings(
    task_type: str,
    columns: Mapping[str, Any],
    labels: Sequence[str] | Mapping[str, str] | None,
    template: str | None,
    more: Mapping[str, Any],
    tables: Mapping[Split, Table],
) -> dict[str, Any]:
    """What a task file would say."""
    values: dict[str, Any] = {"task_type": task_type, "files": {"test": "rows in memory"}, **more}
    if labels is None and task_type == "classification":
        labels = list(dict.fromkeys(sorted(_values(tables, str(columns["answer"])))))
    if labels is not None:
        values["labels"] = dict(labels) if isinstance(labels, Mapping) else [str(one) for one in labels]
    if template is None:
        shown_labels = values.get("labels") or []
        listed = shown_labels.values() if isinstance(shown_labels, Mapping) else shown_labels
        options = more.get("choices") or ()
        context = str(more.get("context", "context"))
        values["template"] = TEMPLATES[task_type].format(
            text=columns["text"], context=context, labels=", ".join(_escaped(str(one)) for one in listed),
            options="\n".join(f"- {{{option}}}" for option in (options.values() if isinstance(options, Mapping) else options)),
        )  # fmt: skip
    else:
        values["template"] = template
    return values


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _values(tables: Mapping[Split, Table], column: str) -> Iterator[str]:
    for table in tables.values():
        for row in table.rows:
            if text := cell_text(row.cells.get(column)):
                yield text
