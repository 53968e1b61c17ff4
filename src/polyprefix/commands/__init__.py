"""Commands that are not the flow of a run: one file a subject; `cli.py` puts them together."""
