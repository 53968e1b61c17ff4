"""Names of things as items, in `terms` and `emoji`: the split that an id is in, its class, and names that a reader of English would know."""

from __future__ import annotations

import difflib
import hashlib
import unicodedata

from polyprefix.types import Split

SIMILAR = 0.8
"""Names at least this similar to the English one (difflib's ratio) are left out."""


def resembles(name: str, english: str) -> bool:
    """Whether a name equals, contains, is contained in, or is at least 0.8 similar to the English one.

    Letter case and diacritics do not count.
    """
    a, b = _fold(name), _fold(english)
    if a in b or b in a:
        return True
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    # both bounds are above the ratio and much cheaper
    return all(ratio() >= SIMILAR for ratio in (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio))


def split_of(item: str) -> Split:
    """The split of an id, by its hash alone: 50% test, 40% train, 10% validation, in every version of CLDR."""
    position = int(digest(item)[:8], 16) / 2**32
    if position < 0.5:
        return "test"
    return "train" if position < 0.9 else "validation"


def class_of(item: str) -> str:
    """`country:KE` -> `country`: the class that an id begins with."""
    return item.partition(":")[0]


def _fold(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def digest(item: str) -> str:
    """SHA-256 of an id: the order of items, and what their split rests on."""
    return hashlib.sha256(item.encode()).hexdigest()
