"""What every task file says, whatever its task type."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, field_validator

from polyprefix.data.table import Row
from polyprefix.data.validation_errors import ValidationErrors
from polyprefix.errors import LanguageError
from polyprefix.languages import find_each
from polyprefix.settings import Settings
from polyprefix.tasks._task_types import TaskType
from polyprefix.types import Origin, Split

TaskTypeName = Literal["classification", "multiple-choice", "span", "generation"]
TASK_TYPES: tuple[str, ...] = get_args(TaskTypeName)
ANY = ""
"""The key of a path that is not of one language: its rows, or the names of the files that it stands for, say which."""
LANGUAGE = "{language}"
"""Stands for a language in the path of a data file."""

Answer = tuple[tuple[str, ...], tuple[str, ...]]
"""The choices, none where the answer is written, and the accepted answers."""


def one_or_many(value: Any) -> Any:
    """A path by itself is a mapping with one entry."""
    if isinstance(value, str):
        return {ANY: value}
    if isinstance(value, Mapping):
        return {str(language): path for language, path in value.items()}
    raise ValueError("expected a path, or a mapping of languages to paths")


def one_origin(value: Any) -> Any:
    """An origin by itself is that of all languages."""
    if isinstance(value, str):
        return {ANY: value}
    if isinstance(value, Mapping):
        try:
            return dict(zip(find_each(map(str, value), "origin", unregistered=True), value.values(), strict=True))
        except LanguageError as error:
            raise ValueError(f"expected languages and their origins ({error})") from None
    raise ValueError("expected an origin, or a mapping of languages to origins")


def one_or_each(value: Any) -> Any:
    """A configuration by itself holds all rows; a list names the configurations after their languages."""
    if isinstance(value, list):
        return {str(name): str(name) for name in value}
    return one_or_many(value)


Paths = Annotated[dict[str, str], BeforeValidator(one_or_many), Field(min_length=1)]


class Files(Settings):
    """Where the rows are, each path as seen from the task file."""

    test: Paths
    """A path, with `{language}` where there is one file a language, or a mapping of languages to paths."""
    train: Paths | None = None
    """Rows to learn from: English ones, and those of the other languages that a run asks for."""
    validation: Paths | None = None
    """Rows to choose weights by, in the languages of training; without them, a tenth of the training rows by the hash of their ids."""


class Splits(Settings):
    """What the splits are called in the data set."""

    test: str = "test"
    """The split that is tested."""
    train: str | None = None
    """The split to learn from."""
    validation: str | None = None
    """The split to choose weights by; without one, a tenth of the training rows."""


class Dataset(Settings):
    """Rows of a data set of the Hub, or of its local mirror, in place of files."""

    id: str
    """Its id, such as facebook/xnli."""
    config: Annotated[dict[str, str], BeforeValidator(one_or_each), Field(min_length=1)] = Field(
        default_factory=lambda: {ANY: ""}
    )
    """A mapping of languages to configurations, a list of languages that the configurations are named after, or the only configuration."""
    split: Annotated[Splits, BeforeValidator(lambda value: {"test": value} if isinstance(value, str) else value)] = (
        Splits()
    )
    """What test, train and validation are called."""
    revision: str | None = None
    """A commit, a branch or a tag; a local mirror has one state alone."""
    files: str | None = None
    """The Parquet file of a configuration and split, `{config}/{split}/0000.parquet`, for a data set whose repository is a script."""
    rows: dict[Split, Annotated[int, Field(ge=1, le=1_000_000_000)]] = Field(default_factory=dict)
    """How many rows a split has in each language, as published; another number is an error."""

    @field_validator("files")
    @classmethod
    def _inside(cls, value: str | None) -> str | None:
        if value is not None and (value.startswith("/") or ".." in value.split("/") or "{split}" not in value):
            raise ValueError("expected a path inside the data set with {split}, and {config} where there are several")
        return value

    def file(self, config: str, split: str) -> str | None:
        """The path of a split of a configuration; None where the data set says itself what its files are."""
        return self.files and self.files.replace("{config}", config).replace("{split}", split)


class Columns(Settings):
    """What the columns are called that the template does not name."""

    answer: str = "answer"
    """The column of the right answer."""
    id: str | None = None
    """The column of an id; the same item has the same id in every language, unless `parallel` is false."""
    language: str | None = None
    """The column of the language, where a file holds several."""


class Definition(Settings):
    """A task file. Its task type adds what an answer is."""

    task_type: TaskTypeName
    """One of four: classification, multiple-choice, span, generation."""
    template: str
    """What the model reads, with the names of columns in braces; what all prompts share comes first, the answer follows."""
    files: Files | None = None
    """Where the rows are: files, or `dataset`."""
    dataset: Dataset | None = None
    """Where the rows are: a data set of the Hub."""
    columns: Columns = Columns()
    """What columns are called."""
    context: str | None = None
    """The column of a text that may be cut at its end where a prompt is too long for a model."""
    parallel: bool | None = None
    """Whether an id, or without ids the place in the file, means the same item in every language."""
    title: str = "a task of one's own"
    """One line: what is asked."""
    source: str = "files of one's own"
    """Where the data comes from."""
    licence: str = "not stated"
    """Under which terms."""
    origin: Annotated[dict[str, Origin], BeforeValidator(one_origin)] = Field(default_factory=dict)
    """Where the test text comes from: original, written by people, translated by people, translated by machine; or a mapping of languages
    to these."""

    @field_validator("template")
    @classmethod
    def _ends_where_the_answer_begins(cls, value: str) -> str:
        try:
            pieces = list(string.Formatter().parse(value))
        except ValueError as error:
            raise ValueError(f"expected names of columns in braces, a brace itself doubled ({error})") from None
        names = [name for _, name, _, _ in pieces if name is not None]
        plain = not any(form or conversion for _, _, form, conversion in pieces)
        if not plain or not all(name and not name.isdigit() and not set(name) & set(".[]") for name in names):
            raise ValueError("expected the name of a column, and nothing else, in each pair of braces")
        if not names:
            raise ValueError("expected at least one name of a column in braces, such as {text}")
        return value.rstrip()

    @property
    def is_parallel(self) -> bool:
        """As the file says; otherwise true where there is a column of ids."""
        return self.columns.id is not None if self.parallel is None else self.parallel

    def asked(self) -> tuple[str, ...]:
        """The columns that a question is made of."""
        names = (name for _, name, _, _ in string.Formatter().parse(self.template) if name is not None)
        return tuple(dict.fromkeys(names))

    def answers_in(self) -> str | None:
        """The language that written answers have to be in: a code, `question`, or None where no language is asked for."""
        return None

    def shared_labels(self) -> tuple[str, ...]:
        """The answers to choose from, where they are the same in every example."""
        return ()

    def option_columns(self) -> tuple[str, ...]:
        """The columns that hold the answers to choose from, where these differ from example to example."""
        return ()

    def answer(self, row: Row, inputs: Mapping[str, str], errors: ValidationErrors) -> Answer | None:
        """What may be answered and what is right; None, and an error, where the row does not say."""
        raise NotImplementedError

    def scoring(self) -> TaskType:
        """Prompts and scores of this type of task."""
        raise NotImplementedError

    def contradictions(self) -> Iterator[tuple[tuple[str, ...], str, str]]:
        """(keys, what was found, what was expected) where two parts of the file do not go together."""
        if self.columns.answer in self.asked():
            yield ("template",), f"the column of the answer, '{self.columns.answer}'", "a question without its answer"
        if self.context is not None and self.context not in self.asked():
            yield ("template",), f"no '{{{self.context}}}'", "the context in it; 'context' says which column that is"
        if (self.files is None) == (self.dataset is None):
            yield (
                ("dataset",) if self.dataset else ("files",),
                "both" if self.files else "neither",
                "either 'files' or 'dataset'",
            )
        places = self.files.test if self.files else self.dataset.config if self.dataset else {ANY: ""}
        if self.columns.language and (set(places) != {ANY} or LANGUAGE in places[ANY]):
            kind = "file for each language in files.test" if self.files else "configuration for each language"
            found = f"'{self.columns.language}' beside a {kind}"
            yield ("columns", "language"), found, "one of the two"
