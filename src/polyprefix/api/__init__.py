"""The Python interface: objects in, objects out; no file is written unless it is asked for. Its names are those of `polyprefix`."""
