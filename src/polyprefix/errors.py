"""Errors that a user can act on.

Every one is a single line that says where, what was found and what to do. The command turns them into exit status 2; anything
that is not a `UserError` is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in what was asked, or in what the machine offers, that the user can correct."""


class ConfigError(UserError):
    """An unknown or impossible setting."""


class DataError(UserError):
    """Data that is missing, short, or not in the form that a task expects."""


class LanguageError(UserError):
    """A language that nobody knows, or that a task has no data for."""


class ModelError(UserError):
    """A base model that cannot be found, read, or served by the prefix mechanism."""


class AdapterError(UserError):
    """An adapter that is damaged, or that belongs to another base model."""


class TrainingError(UserError):
    """Training that cannot go on, such as a loss that is no number."""


class OutputError(UserError):
    """Results that cannot be written or read."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known name, and the known ones while they are few.

    >>> nearest("xnly", ["terms", "xnli"])
    "did you mean 'xnli'? Known: terms, xnli"
    """
    known = sorted(set(known))
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    if len(known) > 12:
        return (hint + f"There are {len(known)} known names").strip()
    return hint + "Known: " + ", ".join(known)
