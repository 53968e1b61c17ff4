"""The entry of the command: small, so that an interruption while the rest loads is met here already."""

from polyprefix.interruption import loading, quit_now


def main() -> None:
    """Load the command and run it."""
    try:
        with loading():
            from polyprefix.cli import main as command
        command()
    except KeyboardInterrupt:
        quit_now()


if __name__ == "__main__":
    main()
