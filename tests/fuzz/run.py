"""One damaged input, and what became of it."""

from __future__ import annotations

import contextlib
import io
import logging
import random
import signal
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import click

from polyprefix.errors import UserError
from tests.fuzz.targets import TARGETS

SECONDS = 15
"""An input that takes longer hangs."""


class Hang(BaseException):
    """No `Exception`, so that nothing on the way takes it for damage."""


def outcome(target: str, seed: int, folder: Path, *, keep: bool = False) -> str:
    """`read`, `one line`, or what went wrong and where.

    Args:
        keep: raise what went wrong instead.
    """
    place = folder / "one"
    place.mkdir(exist_ok=True, parents=True)
    rng = random.Random(f"{target} {seed}")
    logging.disable(logging.CRITICAL)
    try:
        with _at_most(SECONDS), contextlib.redirect_stderr(io.StringIO()):
            TARGETS[target](rng, place)
    except (UserError, click.ClickException) as error:
        text = str(error) if isinstance(error, UserError) else error.format_message()
        return "one line" if text.strip() and len(text) < 20_000 else f"a message of {len(text)} characters"
    except Hang:
        return f"hang: over {SECONDS} s"
    except OSError as error:  # the command says these in one line, with the file
        if error.filename is not None:
            return "one line"
        return _failed(error, keep)
    except Exception as error:
        return _failed(error, keep)
    finally:
        logging.disable(logging.NOTSET)
    return "read"


def _failed(error: Exception, keep: bool) -> str:
    if keep:
        raise error
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "/polyprefix/" in frame.filename]
    where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "elsewhere"
    return f"traceback: {type(error).__name__} at {where}"


@contextlib.contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
