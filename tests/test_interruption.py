"""While libraries load, Ctrl-C ends the process at once with status 130, even where an exception would abort it; after that it raises."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from polyprefix.interruption import loading

SWALLOWS = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
from polyprefix.interruption import loading
with loading():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000): pass
    except BaseException:  # what C++ does with it is worse
        print("raised")
print("went on")
"""


def test_it_ends_the_process_without_raising() -> None:
    done = subprocess.run([sys.executable, "-c", SWALLOWS], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "polyprefix: interrupted; nothing was begun\n"


def test_afterwards_it_raises_again() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with loading():
            pass
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with loading():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
