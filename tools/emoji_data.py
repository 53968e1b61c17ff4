"""Makes the data of the task `emoji`, `src/polyprefix/tasks/cldr/emoji.zip`, from two packages of npm, unpacked:

    npm pack cldr-annotations-full@48.2.0 unicode-emoji-json@0.9.0
    PYTHONPATH=src python -m tools.emoji_data CLDR/package EMOJI/package

The first holds Unicode CLDR's annotations, the second the groups of Unicode's list of emoji. An item is `person:1F9D1-200D-1F373`, its class
and its code points. The archive has a text file for each language, `swh_Latn.tsv`: a line for each item, its id and its name there, in the
order of a hash. Equal input gives equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from polyprefix.tasks._names import class_of, resembles, split_of
from polyprefix.tasks._terms_names import LOCALES

OUT = Path(__file__).parents[1] / "src" / "polyprefix" / "tasks" / "cldr" / "emoji.zip"
ENGLISH = "eng_Latn"
GROUPS = {
    "Smileys & Emotion": "emotion", "People & Body": "person", "Animals & Nature": "nature", "Food & Drink": "food",
    "Travel & Places": "place", "Activities": "activity", "Objects": "object", "Symbols": "symbol",
}  # fmt: skip
"""Unicode's group -> class. Flags are left out: their names are those of countries, which CLDR does not annotate."""
MORE_LOCALES = {
    "bak_Cyrl": "ba", "bre_Latn": "br", "chv_Cyrl": "cv", "dsb_Latn": "dsb", "gaz_Latn": "om", "hsb_Latn": "hsb", "ibo_Latn": "ig",
    "jav_Latn": "jv", "kin_Latn": "rw", "kok_Deva": "kok", "mlt_Latn": "mt", "nso_Latn": "nso", "pcm_Latn": "pcm", "pnb_Arab": "pa-Arab",
    "quc_Latn": "quc", "roh_Latn": "rm", "shn_Mymr": "shn", "tgl_Latn": "fil", "ton_Latn": "to", "tsn_Latn": "tn", "wol_Latn": "wo",
    "xho_Latn": "xh", "zsm_Latn": "ms", "zul_Latn": "zu",
}  # fmt: skip
"""Our code -> locale, of languages that `terms` has not. Greenlandic (kl) is left out: four names in five are Danish."""
FEWEST = 10
"""Test items that a class must have in a language, and ALL_TEST all classes together, or the language is left out."""
FEWEST_TEST = 200
MALE_OR_FEMALE = {0x1F468, 0x1F469, 0x2640, 0x2642}
CLOCKS = range(0x1F550, 0x1F568)
KEYCAP = 0x20E3


def main(cldr: Path, emoji: Path) -> None:
    groups = json.loads((emoji / "data-by-emoji.json").read_text(encoding="utf-8"))
    items = {item: text for text, one in groups.items() if (item := _item(text, one["group"]))}
    english = unambiguous(_names(cldr, "en", items))
    OUT.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(OUT, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for code, names in _languages(cldr, items, english):
            member = zipfile.ZipInfo(f"{code}.tsv")  # its date is the same every time
            member.compress_type = zipfile.ZIP_DEFLATED
            lines = (f"{item}\t{names[item]}\n" for item in sorted(names, key=_digest))
            archive.writestr(member, "".join(lines).encode())
            print(code, len(names), sum(split_of(item) == "test" for item in names))
    print(f"{OUT}: {OUT.stat().st_size / 1e6:.2f} MB")


def _languages(
    cldr: Path, items: Mapping[str, str], english: Mapping[str, str]
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """English first, then the others that have enough test items by themselves."""
    yield ENGLISH, english
    locales = {**LOCALES, **MORE_LOCALES}
    for code in sorted(locales.keys() - {ENGLISH}):
        locale = locales[code].replace("_", "-")
        if not (cldr / "annotations" / locale).is_dir():
            continue
        names = unambiguous(_names(cldr, locale, {item: items[item] for item in english}))
        kept = {item: name for item, name in names.items() if not resembles(name, english[item])}
        if _is_enough(kept):
            yield code, kept
        else:
            print(code, "left out")


def unambiguous(names: Mapping[str, str]) -> dict[str, str]:
    """Each name once: of several items with one name the first in the order of the hash, none where their classes differ."""
    owners: dict[str, list[str]] = {}
    for item in sorted(names, key=_digest):
        owners.setdefault(names[item].casefold(), []).append(item)
    return {
        found[0]: names[found[0]] for found in owners.values() if len({item.partition(":")[0] for item in found}) == 1
    }


def _item(text: str, group: str) -> str | None:
    """The id of an emoji; None for one that is left out: flags, men and women beside a person, clock faces and keycaps.

    These last are many names that differ in one word, so that test items would have a near copy among the training items.
    """
    points = [ord(c) for c in text if c != "\ufe0f"]
    gendered = len(points) > 1 and bool(MALE_OR_FEMALE & set(points))
    if group not in GROUPS or gendered or points[0] in CLOCKS or KEYCAP in points:
        return None
    return f"{GROUPS[group]}:{'-'.join(f'{point:X}' for point in points)}"


def _names(cldr: Path, locale: str, items: Mapping[str, str]) -> dict[str, str]:
    """Item -> its name in a locale's own annotations; those without one are absent."""
    path = cldr / "annotations" / locale / "annotations.json"
    found = json.loads(path.read_text(encoding="utf-8"))["annotations"]["annotations"]
    names = ((item, found.get(text.replace("\ufe0f", ""), {}).get("tts")) for item, text in items.items())
    return {item: " ".join(tts[0].split()) for item, tts in names if tts}


def _is_enough(names: Mapping[str, str]) -> bool:
    test = [class_of(item) for item in names if split_of(item) == "test"]
    return len(test) >= FEWEST_TEST and all(test.count(label) >= FEWEST for label in GROUPS.values())


def _digest(item: str) -> str:
    return hashlib.sha256(item.encode()).hexdigest()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: emoji_data.py CLDR EMOJI, the folders of cldr-annotations-full and unicode-emoji-json")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
