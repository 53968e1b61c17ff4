"""A task of one's own: a YAML file that names data files and says how their rows are asked and scored (docs/task-file.md).

    task file -> Definition -> rows -> Example

`_custom_file` reads and checks the file, `_custom_definition` says what every file holds, `_custom_types` what an answer is for each
task type, and `_custom_rows` makes examples of rows. This is the task that the rest of the project sees.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polyprefix.data.hub_rows import HubRows
from polyprefix.data.same_text import same_text
from polyprefix.data.table import Table
from polyprefix.data.validation_errors import ValidationErrors
from polyprefix.errors import ConfigError, DataError
from polyprefix.languages import get
from polyprefix.names import TASK_FILE, task_name
from polyprefix.settings import validate
from polyprefix.tasks._custom_definition import ANY, Definition
from polyprefix.tasks._custom_file import Located, Rows, deprecations, locate, named, read_definition
from polyprefix.tasks._custom_rows import Placed, read_examples
from polyprefix.tasks._custom_types import DEFINITIONS
from polyprefix.tasks._rows import ENGLISH, divided, dropped_note, require_language
from polyprefix.tasks._source_languages import named as named_languages
from polyprefix.tasks._task_types import TypedTask, most_frequent_label
from polyprefix.tasks.base import Source, TaskInfo
from polyprefix.types import Example, Score, Split

VALIDATION_SHARE = 0.1
"""Share of the training rows that are held out where the file names no validation data."""


class CustomTask(TypedTask):
    """A task that a file defines."""

    def __init__(
        self, name: str, definition: Definition, files: Located, file: Path | None, notes: tuple[str, ...] = ()
    ) -> None:
        self.definition = definition
        self.task_type = definition.scoring()
        self.template, self.cuttable = definition.template, definition.context
        self._files = files
        self._file = file
        self._notes = notes
        self._read: dict[tuple[Split, str, Path | None], dict[str, list[Placed]]] = {}
        self.hub: Path | None = None
        """The mirror of the Hub that was named last; None means POLYPREFIX_HUB, or the Hub itself. Of files it decides nothing."""
        self.info = TaskInfo(
            name=name,
            title=definition.title,
            source=definition.source,
            licence=definition.licence,
            metrics=self.task_type.metrics,
            chance=self.task_type.chance,
            parallel=definition.is_parallel,
            answer_language=definition.answers_in(),
            origin=definition.origin.get(ANY, "not stated"),
            origins={code: origin for code, origin in definition.origin.items() if code != ANY},
            splits={split: ", ".join(map(_title, rows.values())) for split, rows in files.items()},
            deviations=(f"{name}: a task of one's own, not a published benchmark",),
            inputs=tuple(dict.fromkeys((*definition.asked(), *definition.option_columns()))),
            labels=definition.shared_labels(),
            options=definition.option_columns(),
        )

    def languages(self) -> tuple[str, ...]:
        """The codes that there is test data for, English first where it is among them.

        Raises:
            DataError: if a file cannot be read that has to be, for it says the languages itself.
        """
        return self._languages("test")

    def train_languages(self) -> tuple[str, ...]:
        """The codes that there are training rows for.

        Raises:
            DataError: as `languages`.
        """
        return self._languages("train")

    def test_ids(self, source: Source) -> frozenset[str]:
        """The ids of the test rows of every language."""
        self.hub = source.hub
        return frozenset(item.example.id for code in self.languages() for item in self._placed("test", code))

    def examples(self, split: Split, language: str, source: Source) -> Sequence[Example]:
        """All examples of a split, in the file's order; training rows without those that ask what the test set of their language asks.

        Raises:
            LanguageError: if the task has no such language.
            DataError: if the file names no data for the split, or a data file has errors; all of them are reported.
        """
        self.hub = source.hub
        known = self.languages() if split == "test" else dict.fromkeys((*self.languages(), *self.train_languages()))
        require_language(self.info.name, split, language, tuple(known), elsewhere=("train", "validation"))
        source.note(*self._notes)
        if not get(language).is_registered:
            source.note(
                f"{self.info.name}: no list of languages has the code '{language}'; it is a language of its own."
            )
        placed = self._placed("test", language)
        if split == "test":
            self._check_parallel(placed, language)
            return [item.example for item in placed]
        rows, name = self._learned(split, language), get(language).name
        if not rows and split == "train" and self._train(language)[1]:
            raise DataError(
                f"{self._place('train')}: found one {name} row, expected at least two, for one is held out for validation; "
                "add rows, or give validation rows"
            )
        if not rows:
            has = named_languages(self._languages(split)) or "none"
            raise DataError(
                f"{self._place(split)}: found no {name} rows, expected some ({language}); it has rows in {has}"
            )
        asked = {self._asks(item.example) for item in placed}
        kept, dropped = divided(rows, lambda example: self._asks(example) in asked)
        if not kept:
            raise DataError(f"{self._place(split)}: found only rows that the {name} test set has, expected others too")
        if split == "train":
            reason = f"ask what the {name} test set asks"
            where = f"{self.info.name} train" if language == ENGLISH else f"{self.info.name} train, {language}"
            source.note(*self._held_out_note(language, where), dropped_note(where, dropped, len(rows), reason))
        return kept

    def baselines(self, source: Source, test: Mapping[str, Sequence[Example]]) -> Mapping[str, Mapping[str, Score]]:
        """What the label that is most frequent in training scores, where labels are shared and there is training data."""
        if not self.info.labels or "train" not in self._files:
            return {}
        (first, *_) = self.train_languages() or (ENGLISH,)
        gold = Counter(example.references[0] for example in self._train(first)[0])
        (label, _), *_ = sorted(gold.items(), key=lambda item: (-item[1], self.info.labels.index(item[0])))
        scores = most_frequent_label(label, test)
        return {"most frequent label": scores} if scores else {}

    def shot_languages(self) -> tuple[str, ...]:
        """English where it is trained, and the languages of the validation rows."""
        english = (ENGLISH,) if ENGLISH in self.languages() else ()
        return (*english, *(code for code in self._languages("validation") if code != ENGLISH))

    def shot_pool(self, language: str, source: Source) -> Sequence[Example]:
        """The validation rows of a language.

        Raises:
            DataError: as `examples`.
        """
        if language == ENGLISH or "validation" not in self._files:
            return self.examples("validation", language, source)
        return [item.example for item in self._placed("validation", language)]

    @property
    def needs_hub(self) -> bool:
        """Whether its rows are a data set of the Hub."""
        return self.definition.dataset is not None

    def parts(self) -> tuple[Rows, ...]:
        """The task file and all data files, the rows in memory, or where the Hub has them."""
        data = [rows for split in sorted(self._files) for _, rows in sorted(self._files[split].items())]
        return (*([self._file] if self._file else ()), *data)

    def digest(self) -> str:
        """Of the task file and all data files: another one is another task."""
        digest = hashlib.sha256()
        if not self._file:
            digest.update(self.definition.model_dump_json(exclude=_later(self.definition)).encode())
        for part in self.parts():
            digest.update(_digest(part))
        return digest.hexdigest()[:16]

    def place(self) -> str:
        """The path of the task file; the name of a task without one."""
        return str(self._file) if self._file else self.info.name

    def _place(self, split: Split) -> str:
        """Where a person finds the rows of a split."""
        key = "dataset.split" if self.needs_hub else "files"
        return f"{self._file}, key '{key}.{split}'" if self._file else f"task '{self.info.name}', split '{split}'"

    def _languages(self, split: Split) -> tuple[str, ...]:
        """The codes of a split's rows, English first where it is among them."""
        files = self._files.get(split, {})
        codes = set(files) if ANY not in files else set(self._rows(split, ANY))
        return (*(code for code in (ENGLISH,) if code in codes), *sorted(codes - {ENGLISH}))

    def _placed(self, split: Split, language: str) -> list[Placed]:
        files = self._files.get(split, {})
        key = language if language in files else ANY
        return self._rows(split, key).get(language, []) if key in files else []

    def _rows(self, split: Split, key: str) -> dict[str, list[Placed]]:
        """Language -> the examples of one data file.

        Args:
            key: its language, or `ANY`.
        """
        place = (split, key, self.hub)
        if place not in self._read:
            only = key or (None if self.definition.columns.language else ENGLISH)
            rows = self._files[split][key]
            self._read[place] = read_examples(self.definition, self, rows, split, only, self.hub)
        return self._read[place]

    def _learned(self, split: Split, language: str) -> list[Example]:
        """The rows of training or validation in a language, before any is dropped."""
        if split == "validation" and split in self._files:
            return [item.example for item in self._placed(split, language)]
        learned, held = self._train(language)
        return learned if split == "train" else held

    def _train(self, language: str) -> tuple[list[Example], list[Example]]:
        """Rows to learn from, and rows that are held out: by the hash of the id, so that more data moves none."""
        if "train" not in self._files:
            raise DataError(f"{self._place('train')}: found nothing, expected rows to learn from")
        rows = [item.example for item in self._placed("train", language)]
        if "validation" in self._files:
            return rows, []
        held = {example.id for example in rows if _hash(example.id) < VALIDATION_SHARE}
        if rows and (not held or len(held) == len(rows)):
            held = {min((example.id for example in rows), key=_hash)}
        return [e for e in rows if e.id not in held], [e for e in rows if e.id in held]

    def _asks(self, example: Example) -> str:
        return "|".join(same_text(example.inputs[name]) for name in self.definition.asked())

    def _held_out_note(self, language: str, where: str) -> tuple[str, ...]:
        learned, held = self._train(language)
        if not held:
            return ()
        share = f"{len(held):,} of {len(held) + len(learned):,} {get(language).name} rows are held out for validation"
        return (f"{where}: {share}, by the hash of their ids.",)

    def _check_parallel(self, placed: list[Placed], language: str) -> None:
        """Where ids are parallel, the same id has the same choice in every language; if not, rows are out of step."""
        first = self.languages()[0]
        if not self.info.parallel or language == first or not placed[0].example.choices:
            return
        others = {item.example.id: item.example for item in self._placed("test", first)}
        errors = ValidationErrors()
        for item in placed:
            same = others.get(item.example.id)
            if same and _place(item.example) != _place(same):
                column = self.definition.columns.answer
                found = f"another answer than the {get(first).name} row with the id {same.id!r}"
                errors.add(f"{item.where}, column '{column}'", found, "the same; or set 'parallel: false'")
        errors.check()


def find_task_file(name: str) -> Path | None:
    """The task file that a path leads to: a YAML file, or a folder that holds `task.yaml`; None for other names."""
    path = Path(name).expanduser()
    if path.suffix in (".yaml", ".yml"):
        return path
    return path / TASK_FILE if (path / TASK_FILE).is_file() else None


def custom_task(path: Path) -> CustomTask:
    """The task that a file defines.

    Raises:
        ConfigError: with all that is wrong with the file: keys, values, data files that are not there.
        LanguageError, DataError: see `locate`.
    """
    definition = read_definition(path)
    return CustomTask(task_name(str(path)), definition, locate(definition, path), path, deprecations(path))


def restored_task(name: str, saved: Mapping[str, Any]) -> CustomTask:
    """A task from what an adapter keeps of it, without data: it asks, but has nothing to be scored on.

    Raises:
        ConfigError: if this version does not know what was saved.
    """
    saved = named(saved)
    kind = DEFINITIONS.get(str(saved.get("task_type")))
    if kind is None:
        raise ConfigError(
            f"task '{name}': unknown task type {saved.get('task_type')!r}; give the task file with --task"
        )
    return CustomTask(name, validate(kind, saved, f"task '{name}'"), {}, None)


def _title(rows: Rows) -> str:
    """What the header of a task says of a split."""
    return f"{len(rows.rows):,} rows in memory" if isinstance(rows, Table) else rows.name


def _digest(rows: Rows) -> bytes:
    """Of the bytes of a file, of the cells of rows in memory, or of the name of a split of the Hub."""
    if isinstance(rows, HubRows):
        return repr(rows).encode()
    if isinstance(rows, Table):
        cells = [list(row.cells.items()) for row in rows.rows]
        return hashlib.sha256(
            json.dumps(cells, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")
        ).digest()
    with rows.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _later(definition: Definition) -> set[str]:
    """Keys that came later and are at their defaults: they make no other task."""
    kinds = type(definition).model_fields
    return {
        key
        for key in ("origin", "answer_language", "dataset")
        if key in kinds and key not in definition.model_fields_set
    }


def _place(example: Example) -> int:
    return example.choices.index(example.references[0])


def _hash(id: str) -> float:
    """Between 0 and 1, the same on every machine."""
    return int(hashlib.sha256(f"validation {id}".encode()).hexdigest()[:8], 16) / 2**32
