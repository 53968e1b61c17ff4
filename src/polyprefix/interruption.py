"""Ctrl-C while libraries load.

torch calls back into Python from C++ while it is imported, and an exception that is raised there ends in `std::terminate`: a core dump
instead of exit status 130. Nothing has been written while libraries load, so that the process may end at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


def quit_now(*_: object) -> NoReturn:
    """Say so and end with status 130; no library that is half loaded gets to clean up."""
    sys.stderr.write("polyprefix: interrupted; nothing was begun\n")
    sys.stderr.flush()
    os._exit(130)


@contextmanager
def loading() -> Iterator[None]:
    """Inside, Ctrl-C ends the process instead of raising; a signal that somebody handles or ignores is left alone."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, quit_now)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
