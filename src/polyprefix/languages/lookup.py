"""Find a language as people write it: `sw`, `swa`, `sw-Latn`, `zh_TW`, `pt-BR`, `quc`, `x-mine`, `Swahili`, `Chinese (Traditional)`."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from polyprefix.errors import LanguageError
from polyprefix.languages import registry
from polyprefix.languages.registry import normalise
from polyprefix.languages.suggest import unknown
from polyprefix.languages.table import Language, get
from polyprefix.languages.tags import LanguageTag, parse

_PRIVATE = re.compile(r"\s*x((?:[-_][a-z0-9]{1,8})+)\s*", re.IGNORECASE)
_RESERVED = re.compile("q[a-t][a-z]")
_SHORT = re.compile("[a-z]{2,3}")
_UNREGISTERED = re.compile(r"(?P<language>[a-z]{3})(?: (?P<script>[a-z]{4}))?(?: (?P<region>[a-z]{2}|[0-9]{3}))?")
_REGIONAL = re.compile(r"[a-z]{2,3} (?:[a-z]{2}|[0-9]{3})")
_TAG = re.compile(r"(?:[a-z]{2,3}|[A-Z]{2,3})(?:[-_][A-Za-z0-9]{1,8})+")
_PARENTHESES = re.compile(r"(?P<name>.*\S)\s*\((?P<inside>[^()]*)\)\s*")


@dataclass(frozen=True, slots=True)
class Reading:
    """What an input may mean."""

    tags: tuple[LanguageTag, ...]
    """The likeliest first."""
    has_script: bool = False
    """Whether the input says a script."""
    is_ambiguous: bool = False
    """Whether no tag is likelier than another."""


def find(text: str, among: Iterable[str] | None = None, *, unregistered: bool = False) -> Language:
    """The language that `text` names: an ISO 639-1, -2 or -3 code, a BCP 47 tag, our code, or a name.

    What is ambiguous is resolved in favour of `among` (a task's codes): `sr` is the Serbian that the task has, and `pt-BR` its Portuguese
    where it does not tell regions apart. Otherwise the usual script and the standard variety win: `zh` is `zho_Hans`, `ar` is `arb_Arab`.

    Args:
        among: codes of the languages that there are; None means every language.
        unregistered: whether a well-formed code that ISO 639-3 does not have is a language of its own.

    Raises:
        LanguageError: if nobody knows the name, it means several languages alike, or `among` has none of the languages it may mean.
    """
    allowed = None if among is None else dict.fromkeys(among)
    if allowed is not None and text in allowed:
        return get(text)
    found = read(text)
    well_formed = _well_formed(text) if found is None and (unregistered or allowed is not None) else None
    if allowed is None:
        if not (known := found or well_formed):
            raise LanguageError(unknown(text, None, _aliases()))
        return get(_only(text, [tag.code for tag in known.tags], known.is_ambiguous))
    chosen, is_ambiguous = _among(found or well_formed or Reading(()), allowed)
    if not chosen and found is None:
        raise LanguageError(unknown(text, allowed, _aliases()))
    if not chosen and found is not None:
        first = get(found.tags[0].code)
        raise LanguageError(
            f"'{text}' is {first.name} ({first.code}), which is not on offer here; choose another of {len(allowed)}, or 'all'"
        )
    return get(_only(text, chosen, is_ambiguous))


def find_each(
    texts: Iterable[str], where: str, among: Iterable[str] | None = None, *, unregistered: bool = False
) -> tuple[str, ...]:
    """The codes of languages as people write them in one place.

    Args:
        where: the setting, for messages.
        among, unregistered: as `find`.

    Raises:
        LanguageError: as `find`; if two of them mean the same language.
    """
    allowed = None if among is None else tuple(among)
    once = Once()
    for text in texts:
        if repeated := once.take(find(text, allowed, unregistered=unregistered).code, text, where):
            raise LanguageError(f"{where}: {repeated}; give it once")
    return once.codes


class Once:
    """Refuses two inputs that mean the same language; every form of input asks it."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[str, str]] = {}

    @property
    def codes(self) -> tuple[str, ...]:
        """The languages that were taken, in their order."""
        return tuple(self._first)

    def take(self, code: str, text: str, where: str) -> str | None:
        """Take an input, or say which earlier one means the same language.

        Args:
            text: as it was written.
            where: its place; in a message the earlier place is named where it is another.
        """
        if code not in self._first:
            self._first[code] = (text, where)
            return None
        first, place = self._first[code]
        elsewhere = "" if place == where else f" ({place})"
        return f"'{first}'{elsewhere} and '{text}' are both {get(code).name} ({code})"


def tag(language: Language) -> str:
    """The BCP 47 tag (RFC 5646) of a language and its script, for `lang` in HTML: two letters where there are two.

    >>> from polyprefix.languages import get
    >>> tag(get("eng_Latn")), tag(get("zho_Hant")), tag(get("ary_Arab")), tag(get("por_Latn-BR"))
    ('en-Latn', 'zh-Hant', 'ary-Arab', 'pt-Latn-BR')
    """
    code, iso639_3 = language.code, language.iso639_3
    if iso639_3 is None:
        return code
    return _two_letters().get(iso639_3, iso639_3) + code[3:].replace("_", "-")


def read(text: str) -> Reading | None:
    """What a text may mean, whoever has it; None where nobody knows it."""
    if private := _PRIVATE.fullmatch(text):
        return Reading((LanguageTag(None, private=private[1][1:].lower().replace("_", "-")),), has_script=True)
    words = normalise(text).split()
    sizes = [*range(len(words), 0, -1)]
    for size in [1, *sizes] if _TAG.fullmatch(text.strip()) else sizes:  # phu_Thai is a code, though Phu Thai is a name
        subtags = _subtags(words[size:])
        if subtags and (found := _language(" ".join(words[:size]), text if size == len(words) else "")):
            return _with(found, subtags, " ".join(words[:size]))
    return _in_parentheses(text)


def _language(key: str, written: str) -> Reading | None:
    """A language without subtags, from its normalised code or name.

    Args:
        written: as it was written, if that is all.
    """
    short = _SHORT.fullmatch(key) is not None
    if short and written and written.strip().casefold() != key:  # Sa'a is no code, though its letters are one
        found = _of_name(key, written) or _of_code(key)
    elif (known := _aliases().get(key)) and not _REGIONAL.fullmatch(key):
        found = Reading(tuple(filter(None, map(parse, known))))
    elif target := registry.redirects().get(key):
        found = read(target)
    else:
        found = _of_code(key) or _of_name(key, written)
    if (
        found and len(key) == 3 and written.strip() == key.capitalize()
    ):  # "Mon": the name of Mon, or the code of Mongolian?
        isos = {one.iso639_3 for one in found.tags}
        others = tuple(_likely(code) for code in registry.names().get(key, ()) if code not in isos)
        return replace(found, tags=(found.tags[0], *others, *found.tags[1:]), is_ambiguous=True) if others else found
    return found


def _of_name(key: str, written: str) -> Reading | None:
    known = registry.names().get(key, ())
    shown = (registry.entry(code) for code in known)
    exact = [one.iso639_3 for one in shown if one and one.name.casefold() == written.strip().casefold()]
    known = tuple(exact) if len(exact) == 1 else known
    return Reading(tuple(map(_likely, known)), is_ambiguous=len(known) > 1) if known else None


def _of_code(key: str) -> Reading | None:
    if _RESERVED.fullmatch(key):
        return Reading((LanguageTag(key),))
    if not _SHORT.fullmatch(key):
        return None
    code = key if registry.entry(key) else registry.short_codes().get(key)  # no code of two lists means two languages
    return Reading((_likely(code),)) if code else None


def _likely(code: str) -> LanguageTag:
    """A code of ISO 639-3 in its usual script, in the variety that the table has for it."""
    if known := _aliases().get(code):
        return parse(known[0]) or LanguageTag(code)
    found = registry.entry(code)
    return LanguageTag(code, found.script if found else None)


def _subtags(words: Sequence[str]) -> LanguageTag | None:
    """Script, region, variants and private use, in this order; None where a word is none of them."""
    rest = list(words)
    script = rest.pop(0).title() if rest and rest[0].title() in registry.scripts() else None
    region = rest.pop(0).upper() if rest and rest[0].upper() in registry.regions() else None
    variants = []
    while rest and rest[0] in registry.variants():
        variants.append(rest.pop(0))
    private = "-".join(rest[1:]) if rest[:1] == ["x"] and len(rest) > 1 else None
    if rest and (private is None or parse(f"x-{private}") is None):
        return None
    return LanguageTag(None, script, region, tuple(variants), private)


def _with(found: Reading, subtags: LanguageTag, key: str) -> Reading:
    """The languages with what else the input says of them."""
    script, has_script = subtags.script, found.has_script or subtags.script is not None
    if script is None and subtags.region and not found.has_script:
        script = _regional_script(found.tags[0], key, subtags.region)
        has_script = script is not None
    tags = found.tags
    if script:
        tags = tuple(one for one in tags if one.script == script) or (replace(tags[0], script=script),)
    if subtags.region or subtags.variants or subtags.private:
        tags = tuple(one.with_subtags(subtags) for one in tags)
    return Reading(tags, has_script, found.is_ambiguous and len(tags) > 1)


def _regional_script(language: LanguageTag, key: str, region: str) -> str | None:
    """The script that a region implies, such as Hant for zh-TW."""
    known = registry.entry(language.iso639_3 or "")
    for name in (key, known.iso639_1 if known else None, language.iso639_3):
        of_region = f"{name} {region.lower()}"
        if codes := _aliases().get(of_region):
            return (parse(codes[0]) or language).script
        if script := registry.regional_scripts().get(of_region):
            return script
    return None


def _in_parentheses(text: str) -> Reading | None:
    """A name with scripts and regions by their names: `Serbian (Latin, Montenegro)`."""
    found = _PARENTHESES.fullmatch(text)
    base = read(found["name"]) if found else None
    if found is None or base is None:
        return None
    words = [_subtag_of_name(part) for part in found["inside"].split(",")]
    subtags = _subtags([word for part in words for word in part.split()]) if all(words) else None
    return _with(base, subtags, normalise(found["name"])) if subtags else None


def _subtag_of_name(text: str) -> str:
    """The subtag that a script or a region has the name of, or the text itself, normalised."""
    key = normalise(text)
    scripts = {normalise(one.name): code for code, one in registry.scripts().items()}
    regions = {normalise(name): code for code, name in registry.regions().items()}
    return (scripts.get(key) or regions.get(key) or key).lower()


def _well_formed(text: str) -> Reading | None:
    """A code that nobody registered, with a script and a region as it may have."""
    found = _UNREGISTERED.fullmatch(normalise(text))
    if not found:
        return None
    script, region = found["script"], found["region"]
    one = LanguageTag(found["language"], script.title() if script else None, region.upper() if region else None)
    known = _of_code(found["language"])
    tags = [replace(own, script=one.script or own.script, region=one.region) for own in known.tags] if known else [one]
    return Reading(tuple(tags), script is not None)


def _among(found: Reading, allowed: Collection[str]) -> tuple[list[str], bool]:
    """The codes of a list that an input may mean, and whether none of them is likelier than another."""
    if exact := [one.code for one in found.tags if one.code in allowed]:
        return exact, found.is_ambiguous
    if of_language := [one.language.code for one in found.tags if one != one.language and one.language.code in allowed]:
        return of_language, found.is_ambiguous
    known = [(code, parse(code)) for code in allowed]
    plain = {one.language for one in found.tags if one == one.language}
    if regions := [code for code, one in known if one and one.language in plain]:
        return regions, True
    languages = {one.iso639_3 for one in found.tags if one.iso639_3 and not found.has_script}
    scripts = [code for code, one in known if one and one.iso639_3 in languages]
    of_region = [code for code in scripts if (parse(code) or found.tags[0]).region in (None, found.tags[0].region)]
    return of_region, True


def _only(text: str, codes: Sequence[str], is_ambiguous: bool) -> str:
    """The first code, where it is the likeliest."""
    if is_ambiguous and len(codes) > 1:
        named = ", ".join(f"{get(code).name} ({code})" for code in codes[:6])
        raise LanguageError(f"'{text}' may be {named}{', ...' if len(codes) > 6 else ''}; write the code of one")
    return codes[0]


@cache
def _two_letters() -> dict[str, str]:
    """ISO 639-3 -> ISO 639-1; a code that stands for several languages (`ar`) is that of the usual one."""
    known = {code: short for short, code in registry.short_codes().items() if len(short) == 2}
    found = {codes[0][:3]: alias for alias, codes in _aliases().items() if re.fullmatch("[a-z]{2}", alias)}
    return known | found | {"ind": "id", "heb": "he"}  # not the codes that ISO withdrew: in, iw


@cache
def _aliases() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    text = Path(__file__).with_name("aliases.csv").read_text(encoding="utf-8")
    for alias, code in list(csv.reader(text.splitlines()))[1:]:
        found[alias] = (*found.get(alias, ()), code)
    return found
