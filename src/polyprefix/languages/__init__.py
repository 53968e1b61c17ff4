"""One table of languages and its lookups. Standard library only; read once, on first use."""

from polyprefix.languages.lookup import find
from polyprefix.languages.table import Language, all_languages, get, select

__all__ = ["Language", "all_languages", "find", "get", "select"]
