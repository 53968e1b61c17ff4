"""`python -m polyprefix`."""

from polyprefix.cli import main

main()
