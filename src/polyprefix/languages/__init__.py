"""Every language: its code, its names, where it belongs. Standard library only; read once, on first use."""

from polyprefix.languages.lookup import Once, find, find_each
from polyprefix.languages.table import Language, all_languages, every_language, get, select
from polyprefix.languages.tags import LanguageTag

__all__ = ["Language", "LanguageTag", "Once", "all_languages", "every_language", "find", "find_each", "get", "select"]
