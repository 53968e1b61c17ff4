"""A task file from a table of rows: which column is what is guessed from names and values, and every guess can be overruled.

rows -> Proposal -> task.yaml, train.csv, test.csv
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyprefix.atomic import output_errors, write_text
from polyprefix.data.cells import Real, Whole, cell_text, shown
from polyprefix.data.table import Row, Table
from polyprefix.data.validation_errors import ValidationErrors
from polyprefix.errors import ConfigError, LanguageError, OutputError, nearest
from polyprefix.languages import find
from polyprefix.names import TASK_FILE
from polyprefix.settings import validate
from polyprefix.tasks._custom import CustomTask
from polyprefix.tasks._custom_definition import ANY, TASK_TYPES
from polyprefix.tasks._custom_types import DEFINITIONS
from polyprefix.tasks._frames import SPLITS
from polyprefix.tasks.base import ENGLISH
from polyprefix.types import Split
from polyprefix.yaml12 import dump

ANSWERS = ("answer", "label", "target", "gold", "class", "category", "section", "answers", "output", "response")
"""Names of a column of answers, the likeliest first."""
LANGUAGES = ("language", "lang", "locale", "language_code", "lang_code")
IDS = ("id", "uid", "key", "item", "item_id", "example_id", "pair_id", "question_id")
CONTEXTS = ("context", "passage", "paragraph", "document", "article")
OPTION = re.compile(r"(option|choice|ending|sol|answer|opt|mc_answer)[ _-]?([a-z]|\d+)|[a-e]", re.IGNORECASE)
"""The name of a column that holds one of several options."""
MOST_LABELS = 20
"""Different answers of a classification, where nothing else is said."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the columns of a table are taken for."""

    answer: str
    """The column of the right answer."""
    task_type: str
    """One of the four of task files."""
    question: tuple[str, ...]
    """The columns that the prompt shows, in its order."""
    language: str
    """The column of the language, or the code of the language of all rows."""
    options: tuple[str, ...] = ()
    """Of multiple choice: the columns of the options."""
    context: str | None = None
    """Of spans: the column that holds the answer."""
    id: str | None = None
    """A column that identifies an item within a language."""
    split: str | None = None
    """A column that says train, validation or test in every row."""

    def in_column(self, table: Table) -> bool:
        """Whether a column says the language."""
        return self.language in table.columns


def propose(
    table: Table,
    *,
    answer: str | None = None,
    task_type: str | None = None,
    question: str | None = None,
    language: str | None = None,
) -> Proposal:
    """What each column is taken for.

    Args:
        table: at least one row.
        answer, task_type, question, language: what is known already; `question` is one column or several with commas, `language` a
            column, or the language of all rows as people write it.

    Raises:
        ConfigError: for a column or a task type that is not there, or where no column is left for a question.
    """
    named_language = _first(table.columns, LANGUAGES)
    spoken = _language(table, language) if language else named_language or ENGLISH
    split = _split_column(table)
    answer = _column(table, answer, "answer") if answer else _first(table.columns, ANSWERS) or table.columns[-1]
    id = _id_column(table, spoken, {answer, split})
    used = {answer, spoken, split, id}
    options = tuple(name for name in table.columns if name not in used and OPTION.fullmatch(name))
    context = _first([name for name in table.columns if name not in used], CONTEXTS)
    if task_type is None:
        task_type = _guess_type(table, answer, options, context)
    elif task_type not in TASK_TYPES:
        raise ConfigError(f"--type {task_type}: no such task type, {nearest(task_type, TASK_TYPES)}")
    options = options if task_type == "multiple-choice" else ()
    rest = [name for name in table.columns if name not in {*used, *options} and _filled(table, name)]
    asked = _columns(table, question) if question else tuple(rest)
    if task_type == "span":
        context = context if context in asked else asked[0] if asked else None
        asked = (*([context] if context else []), *(name for name in asked if name != context))
    if not asked:
        raise ConfigError(f"{table.where}: no column is left for the question; name some with --question A,B")
    return Proposal(answer, task_type, asked, spoken, options, context if task_type == "span" else None, id, split)


def definition_of(table: Table, proposal: Proposal) -> dict[str, Any]:
    """The keys of the task file but `files`.

    Raises:
        ConfigError: if the answers do not name the options, or a column has a name that no template can hold.
    """
    for name in (*proposal.question, *proposal.options):
        if name.isdigit() or set(name) & set(".[]{}!:"):
            raise ConfigError(
                f"{table.where}, column '{name}': a prompt cannot name it; give it a name of letters and digits"
            )
    values: dict[str, Any] = {"task_type": proposal.task_type, "template": _template(table, proposal)}
    if proposal.task_type == "classification":
        values["labels"] = _distinct(table, proposal.answer)
    if proposal.task_type == "multiple-choice":
        values["choices"] = _choices(table, proposal)
        values["labels"] = list(LETTERS[: len(proposal.options)])
    if proposal.context:
        values["context"] = proposal.context
    columns = {"answer": proposal.answer}
    columns |= {"id": proposal.id} if proposal.id else {}
    columns |= {"language": proposal.language} if proposal.in_column(table) else {}
    return {**values, "columns": columns}


def write_task(table: Table, proposal: Proposal, folder: Path) -> Path:
    """Write a task file and the files of its splits into a new folder; what is wrong with the rows is said before anything is written.

    Rows are divided by a column of splits where there is one; else half of the items train and half test, by the hash of what they
    ask, so that an item is on one side in every language.

    Returns:
        The task file.

    Raises:
        ConfigError, DataError: with all that is wrong with columns and rows.
        OutputError: if there is something in the folder, or it cannot be written.
    """
    values = definition_of(table, proposal)
    parts = _divided(table, proposal)
    suffix = (
        ".csv"
        if all(not isinstance(cell, list | Mapping) for row in table.rows for cell in row.cells.values())
        else ".jsonl"
    )
    files: dict[str, Any] = {split: f"{split}{suffix}" for split in ("test", "train", "validation") if parts.get(split)}
    if not proposal.in_column(table) and proposal.language != ENGLISH:
        files = {split: {proposal.language: name} for split, name in files.items()}
    values = {**values, "files": files}
    _check(table, values)
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder}: holds something already; choose another place with --out")
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for split, rows in parts.items():
        if rows:
            write_text(folder / f"{split}{suffix}", _text_of(table.columns, rows, suffix))
    write_text(folder / TASK_FILE, _yaml(values))
    return folder / TASK_FILE


def _yaml(values: Mapping[str, Any]) -> str:
    """The task file; the template as a block of lines, which is easier to edit than a quoted text."""
    lines = str(values["template"]).split("\n")
    block = "template: |-\n" + "".join(f"  {line}\n" if line else "\n" for line in lines)
    if lines[0].startswith(" ") or not all(line.isprintable() for line in lines):
        block = dump({"template": values["template"]})
    others = dump({key: value for key, value in values.items() if key not in ("task_type", "template")})
    return f"# Every key is described in docs/task-file.md.\n{dump({'task_type': values['task_type']})}{block}{others}"


def _check(table: Table, values: Mapping[str, Any]) -> None:
    """All rows are read as the task will read them, and mistakes have their place in the person's own file."""
    definition = validate(DEFINITIONS[str(values["task_type"])], values, table.where)
    errors = ValidationErrors()
    for keys, found, expected in definition.contradictions():
        errors.add(f"{table.where}, '{'.'.join(keys)}'", found, expected)
    errors.check(ConfigError)
    CustomTask("task", definition, {"test": {ANY: table}}, None)._rows("test", ANY)


def _divided(table: Table, proposal: Proposal) -> dict[Split, list[Row]]:
    parts: dict[Split, list[Row]] = {"train": [], "validation": [], "test": []}
    if proposal.split:
        for row in table.rows:
            parts[SPLITS[str(cell_text(row.cells[proposal.split])).lower()]].append(row)
        if not parts["test"]:
            raise ConfigError(f"{table.where}, column '{proposal.split}': found no test rows, expected some; add them")
        return parts
    names = (proposal.id,) if proposal.id else proposal.question
    keys = ["|".join(cell_text(row.cells.get(name)) or "" for name in names) for row in table.rows]
    ordered = sorted(
        set(keys), key=lambda key: hashlib.sha256(f"split {key}".encode("utf-8", "surrogatepass")).digest()
    )
    tested = set(ordered[: max(1, len(ordered) // 2)])
    for row, key in zip(table.rows, keys, strict=True):
        parts["test" if key in tested else "train"].append(row)
    return parts


def _text_of(columns: Sequence[str], rows: Iterable[Row], suffix: str) -> str:
    """Rows as CSV, or as JSONL where a cell is a list; numbers as they were written."""
    if suffix == ".jsonl":
        return "".join(json.dumps(_as_written(dict(row.cells)), ensure_ascii=False) + "\n" for row in rows)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_as_written(row.cells.get(name, "")) for name in columns] for row in rows)
    return out.getvalue()


def _as_written(value: Any) -> Any:
    if isinstance(value, Whole | Real):
        return value.written
    if isinstance(value, bool):
        return cell_text(value)
    if isinstance(value, Mapping):
        return {key: _as_written(item) for key, item in value.items()}
    return [_as_written(item) for item in value] if isinstance(value, list) else value


def _template(table: Table, proposal: Proposal) -> str:
    first = {
        "classification": f"Choose one of: {', '.join(map(_escaped, _distinct(table, proposal.answer)))}.\n\n",
        "span": "Answer the question with words of the text.\n\n",
    }.get(proposal.task_type, "")
    lines = [f"{_title(name)}: {{{name}}}" for name in proposal.question]
    lines += [f"{letter}: {{{name}}}" for letter, name in zip(LETTERS, proposal.options, strict=False)]
    last = "Answer" if proposal.task_type == "multiple-choice" else _title(proposal.answer)
    return first + "\n".join([*lines, f"{_escaped(last)}:"])


def _choices(table: Table, proposal: Proposal) -> dict[str, str]:
    """What the column of the answer says to each option -> the column of the option."""
    options, said = proposal.options, set(_distinct(table, proposal.answer))
    if len(options) < 2:
        raise ConfigError(
            f"{table.where}: found {len(options)} columns of options, expected at least two, named such as option_a and option_b, or 1 and 2 "
            "after 'choice'; rename them, or choose another --type"
        )
    count = len(options)
    numbers = [str(n) for n in range(count + 1)]
    for way in (list(options), numbers[1:], numbers[:-1], list(LETTERS[:count]), list(LETTERS[:count].lower())):
        if said <= set(way):
            return dict(zip(way, options, strict=True))
    other = sorted(said - set(options))[0]
    raise ConfigError(
        f"{table.where}, column '{proposal.answer}': found {shown(other)}, expected the name, the number or the letter of an option "
        f"({', '.join(options)})"
    )


def _guess_type(table: Table, answer: str, options: Sequence[str], context: str | None) -> str:
    if len(options) > 1:
        return "multiple-choice"
    cells = [row.cells.get(answer) for row in table.rows]
    if any(isinstance(cell, list | Mapping) for cell in cells):
        return "span" if context else "generation"
    pairs = [
        (cell_text(cell) or "", cell_text(row.cells.get(context or "")))
        for cell, row in zip(cells, table.rows, strict=True)
    ]
    if context and all(text in (inside or "") for text, inside in pairs):
        return "span"
    distinct = len({text for text, _ in pairs})
    return "classification" if 2 <= distinct <= min(MOST_LABELS, len(pairs) // 2) else "generation"


def _distinct(table: Table, column: str) -> list[str]:
    return sorted({text for row in table.rows if (text := cell_text(row.cells.get(column))) is not None})


def _filled(table: Table, column: str) -> bool:
    return all(cell_text(row.cells.get(column)) is not None for row in table.rows)


def _id_column(table: Table, language: str, used: set[str | None]) -> str | None:
    name = _first([name for name in table.columns if name not in used], IDS)
    if name is None or not _filled(table, name):
        return None
    keys = {(cell_text(row.cells.get(name)), cell_text(row.cells.get(language))) for row in table.rows}
    return name if len(keys) == len(table.rows) else None


def _split_column(table: Table) -> str | None:
    if "split" not in table.columns:
        return None
    return (
        "split"
        if all(value.lower() in SPLITS for value in _distinct(table, "split")) and _filled(table, "split")
        else None
    )


def _language(table: Table, text: str) -> str:
    if text in table.columns:
        return text
    try:
        return find(text, unregistered=True).code
    except LanguageError as error:
        raise ConfigError(
            f"--language {text}: no column, {nearest(text, table.columns)}; and no language ({error})"
        ) from None


def _first(columns: Sequence[str], names: Sequence[str]) -> str | None:
    lowered = {name.strip().lower(): name for name in reversed(columns)}
    return next((lowered[name] for name in names if name in lowered), None)


def _column(table: Table, name: str, what: str) -> str:
    if name not in table.columns:
        raise ConfigError(f"--{what} {name}: {table.where} has no such column, {nearest(name, table.columns)}")
    return name


def _columns(table: Table, names: str) -> tuple[str, ...]:
    return tuple(_column(table, name.strip(), "question") for name in names.split(",") if name.strip())


def _title(name: str) -> str:
    return name.replace("_", " ").strip().capitalize()


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
