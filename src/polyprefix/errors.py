"""Errors that a user can act on.

Every one is a single line that says where, what was found and what to do. The command turns them into exit status 2; anything
that is not a `UserError` is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_LISTED = 30
"""Names in a hint."""


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


def nearest(name: str, known: Iterable[str], inside: str = "") -> str:
    """A hint that names the nearest known name, and the known ones while one line holds them.

    Args:
        inside: what stands before each name where it is asked for, as the section of a setting.

    >>> nearest("xnly", ["terms", "xnli"])
    "did you mean 'xnli'? Known: terms, xnli"
    >>> nearest("step", ["steps"], "train.")
    "did you mean 'train.steps'? Known: train.steps"
    """
    known = sorted(set(known))
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{inside}{close[0]}'? " if close else ""
    if len(known) > MOST_LISTED:
        return (hint + f"There are {len(known)} known names").strip()
    return hint + "Known: " + ", ".join(inside + one for one in known)


def first_line(error: BaseException) -> str:
    """The first line of an error's message without its full stop, or the error's name where it has no message.

    >>> first_line(ValueError("too large.\\nTraceback")), first_line(KeyError())
    ('too large', 'KeyError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
