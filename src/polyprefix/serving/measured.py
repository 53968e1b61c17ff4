"""What a run measured in a language: the figure that stands beside each answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from polyprefix.errors import DataError, LanguageError
from polyprefix.languages import find, get
from polyprefix.results.files import RESULT, read_result
from polyprefix.results.trained_in import TrainedIn
from polyprefix.scoring.recognise import recognised_with_probability
from polyprefix.types import Score


@dataclass(frozen=True, slots=True)
class Measured:
    """The scores of one run."""

    metric: str
    scores: Mapping[str, Score]
    """Our code -> score of the main metric; a language without one was never tested."""
    chance: float
    trained: TrainedIn | None = None
    """In which languages; None where there is no run."""

    @classmethod
    def of(cls, folder: Path | None, metric: str, chance: float) -> Measured:
        """What the run of an adapter measured: in its own folder, or in the one around it. Nothing where there is no run.

        Raises:
            OutputError: if the result is damaged.
        """
        place = next((p for p in (folder, folder.parent) if (p / RESULT).is_file()), None) if folder else None
        if place is None:
            return cls(metric, {}, chance)
        result = read_result(place)
        scores = {code: found[metric] for code, found in result.scores.items() if metric in found}
        return cls(metric, scores, chance, TrainedIn.of(result.config))

    def code(self, text: str) -> str:
        """Our code of a language, by preference one that was tested.

        Raises:
            LanguageError: if nobody knows it.
        """
        try:
            return find(text, among=tuple(self.scores)).code
        except (LanguageError, DataError):
            return find(text).code


@dataclass(frozen=True, slots=True)
class Spoken:
    """The language of a text."""

    code: str | None
    """Ours; None where none was recognised."""
    name: str | None
    recognised: bool
    """Whether it was recognised; else it was given."""
    probability: float | None
    """Of the recogniser; None where it was given."""


def spoken(text: str, given: str | None, measured: Measured) -> Spoken:
    """The language of a text: the one that is given, else the one that is recognised.

    Raises:
        LanguageError: if nobody knows the given one.
    """
    if given is not None:
        code = measured.code(given)
        return Spoken(code, get(code).name, False, None)
    if (found := recognised_with_probability(text)) is None:
        return Spoken(None, None, True, None)
    try:
        code = measured.code(found[0])
    except LanguageError:
        return Spoken(None, None, True, found[1])
    return Spoken(code, get(code).name, True, found[1])
