"""A split of a data set of the Hub as a table of rows, each with its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from polyprefix.data.table import Table, table_of
from polyprefix.data.validation_errors import ValidationErrors


@dataclass(frozen=True, slots=True)
class HubRows:
    """Where rows are."""

    dataset: str
    config: str | None
    """None where the data set has only one."""
    split: str
    revision: str | None = None
    expected: int | None = None
    """How many there are, as published; None does not check."""
    file: str | None = field(default=None, repr=False)
    """The Parquet file that holds them; None leaves that to the data set. A task's digest has it from the task file."""

    @property
    def name(self) -> str:
        """The place as messages and headers of tasks write it."""
        return " ".join(part for part in (self.dataset, self.config, self.split) if part)

    def read(self, hub: Path | None, errors: ValidationErrors) -> Table:
        """All rows; `ClassLabel` columns hold the names of their labels.

        Args:
            hub: a local mirror; None means POLYPREFIX_HUB, or the Hub itself.

        Raises:
            MissingDataError: if the data set, configuration or split does not exist.
            DataError: if a file is damaged, the Hub cannot be reached, or there are other than the expected rows.
        """
        from polyprefix.data.hub import expect_rows, hub_from_environment, load_file, load_rows, with_label_names

        place = hub_from_environment(hub)
        if self.file is not None:
            rows = load_file(self.dataset, self.file, place, self.revision)
        else:
            rows = load_rows(self.dataset, self.config, self.split, place, self.revision)
        if self.expected is not None:
            expect_rows(len(rows), self.expected, self.name)
        return table_of(with_label_names(rows), self.name, errors)
