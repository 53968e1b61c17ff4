"""The folder of a run: written so that a half-written one never looks like a result, and read back strictly."""
