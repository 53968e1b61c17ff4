"""The entry of the command: small, so that an interruption while the rest loads is met here already."""

import os
import sys


def main() -> None:
    """Load the command and run it."""
    try:
        from polyprefix.cli import main as command

        command()
    except KeyboardInterrupt:
        sys.stderr.write("polyprefix: interrupted; nothing was begun\n")
        sys.stderr.flush()
        os._exit(130)  # no library that is half loaded gets to clean up


if __name__ == "__main__":
    main()
