"""In which languages a run was trained, and what that makes of each language that it is tested in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from polyprefix.config import ENGLISH

SOURCE, FEW_SHOT, ZERO_SHOT, UNTRAINED = "source", "few-shot", "zero-shot", "untrained"
"""A source language; one with a few training examples beside the sources; any other; and of a run that trains nothing every one."""


@dataclass(frozen=True, slots=True)
class TrainedIn:
    """The languages of training of a run."""

    sources: tuple[str, ...]
    """Of a run that trains nothing: those that others beside it were trained in, as far as its settings say so."""
    targets: tuple[str, ...]
    target_size: int | None
    """Training examples of each target language."""
    trains: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> TrainedIn:
        """As the settings of a result say it; those of earlier versions were trained in English."""
        train = config.get("train") or {}
        steps = train["epochs"] if train.get("epochs") is not None else train.get("steps")
        size = config.get("target_size")
        return cls(
            tuple(config.get("source_languages", (ENGLISH,))), tuple(config.get("target_languages", ())),
            None if size is None else int(size), bool(config.get("adapter")) or steps != 0,
        )  # fmt: skip

    @property
    def languages(self) -> frozenset[str]:
        """All languages that it was trained in; empty where nothing was trained."""
        return frozenset((*self.sources, *self.targets)) if self.trains else frozenset()

    def status(self, code: str) -> str:
        """`source`, `few-shot`, `zero-shot` or `untrained`."""
        if not self.trains:
            return UNTRAINED
        if code in self.sources:
            return SOURCE
        return FEW_SHOT if code in self.targets else ZERO_SHOT

    def described(self, code: str) -> str:
        """The same, with the number of training examples of a few-shot language."""
        status = self.status(code)
        return f"{status}, {self.target_size:,} rows" if status == FEW_SHOT and self.target_size else status


def all_but(trained: Collection[str]) -> str:
    """The same in a row of a table.

    >>> all_but(["eng_Latn"]), all_but(["hin_Deva"])
    ('all but English', 'zero-shot languages')
    """
    return "all but English" if set(trained) == {ENGLISH} else "zero-shot languages"


def other_languages(trained: Collection[str]) -> str:
    """What the languages are called that no run of a comparison was trained in.

    >>> other_languages(["eng_Latn"]), other_languages(["eng_Latn", "swh_Latn"])
    ('languages other than English', 'zero-shot languages')
    """
    return "languages other than English" if set(trained) == {ENGLISH} else "zero-shot languages"
