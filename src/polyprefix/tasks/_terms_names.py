"""Names of countries, languages and currencies from CLDR, filtered so that spelling does not give the class away.

The data comes with Babel (Unicode-3.0). An item's id, such as `country:KE`, is its class and its CLDR code, the same in
every language.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import chain
from types import MappingProxyType
from typing import Any

from polyprefix.tasks._names import class_of, digest, resembles, split_of
from polyprefix.types import Split

CLASSES = ("country", "language", "currency")
ENGLISH = "eng_Latn"

# Our code -> CLDR locale: every FLORES-200 language, in any script, whose own CLDR data gives at least 20 test items a
# class, and the languages of scripts that FLORES-200 lacks (Adlam, Chakma, Cherokee). All take their names from
# themselves, none from a parent locale: that leaves out hat_Latn (it inherits from fr_HT), hin_Latn (en_IN) and
# nno_Latn (no).
LOCALES: Mapping[str, str] = MappingProxyType({
    "eng_Latn": "en", "afr_Latn": "af", "aka_Latn": "ak", "als_Latn": "sq", "amh_Ethi": "am", "arb_Arab": "ar",
    "asm_Beng": "as", "ast_Latn": "ast", "azj_Latn": "az", "bel_Cyrl": "be", "ben_Beng": "bn", "bos_Cyrl": "bs_Cyrl",
    "bos_Latn": "bs", "bul_Cyrl": "bg", "cat_Latn": "ca", "ccp_Cakm": "ccp", "ces_Latn": "cs", "chr_Cher": "chr",
    "cym_Latn": "cy", "dan_Latn": "da", "deu_Latn": "de", "dzo_Tibt": "dz", "ell_Grek": "el", "epo_Latn": "eo",
    "est_Latn": "et", "eus_Latn": "eu", "ewe_Latn": "ee", "fao_Latn": "fo", "fin_Latn": "fi", "fra_Latn": "fr",
    "ful_Adlm": "ff_Adlm", "gla_Latn": "gd", "gle_Latn": "ga", "glg_Latn": "gl", "guj_Gujr": "gu", "hau_Latn": "ha",
    "heb_Hebr": "he", "hin_Deva": "hi", "hrv_Latn": "hr", "hun_Latn": "hu", "hye_Armn": "hy", "ind_Latn": "id",
    "isl_Latn": "is", "ita_Latn": "it", "jpn_Jpan": "ja", "kab_Latn": "kab", "kan_Knda": "kn", "kas_Arab": "ks",
    "kat_Geor": "ka", "kaz_Arab": "kk_Arab", "kaz_Cyrl": "kk", "khk_Cyrl": "mn", "khm_Khmr": "km", "kir_Cyrl": "ky",
    "kmr_Latn": "ku", "kor_Hang": "ko", "lao_Laoo": "lo", "lij_Latn": "lij", "lit_Latn": "lt", "ltz_Latn": "lb",
    "lvs_Latn": "lv", "mal_Mlym": "ml", "mar_Deva": "mr", "mkd_Cyrl": "mk", "mri_Latn": "mi", "mya_Mymr": "my",
    "nld_Latn": "nl", "nob_Latn": "no", "npi_Deva": "ne", "nqo_Nkoo": "nqo", "ory_Orya": "or", "pan_Guru": "pa",
    "pbt_Arab": "ps", "pes_Arab": "fa", "pol_Latn": "pl", "por_Latn": "pt", "quy_Latn": "qu", "ron_Latn": "ro",
    "rus_Cyrl": "ru", "scn_Latn": "scn", "sin_Sinh": "si", "slk_Latn": "sk", "slv_Latn": "sl", "snd_Arab": "sd",
    "som_Latn": "so", "spa_Latn": "es", "srd_Latn": "sc", "srp_Cyrl": "sr", "srp_Latn": "sr_Latn", "swe_Latn": "sv",
    "swh_Latn": "sw", "tam_Taml": "ta", "tat_Cyrl": "tt", "tel_Telu": "te", "tgk_Cyrl": "tg", "tha_Thai": "th",
    "tir_Ethi": "ti", "tuk_Latn": "tk", "tur_Latn": "tr", "uig_Arab": "ug", "ukr_Cyrl": "uk", "urd_Arab": "ur",
    "uzn_Cyrl": "uz_Cyrl", "uzn_Latn": "uz", "vec_Latn": "vec", "vie_Latn": "vi", "yor_Latn": "yo",
    "yue_Hans": "yue_Hans", "yue_Hant": "yue", "zho_Hans": "zh", "zho_Hant": "zh_Hant",
})  # fmt: skip

_CLDR_TABLES = {"country": "territories", "language": "languages", "currency": "currency_names"}
_NOT_A_TERM = {
    # unions, parts of other countries and private codes
    "country": {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"},
    "language": {"mul", "und", "zxx"},
    # metals, units of account, and codes for tests and for nothing
    "currency": {"XAG", "XAU", "XBA", "XBB", "XDR", "XEU", "XFO", "XFU", "XPD", "XPT", "XRE", "XTS", "XUA", "XXX"},
}


@cache
def english_terms() -> Mapping[str, str]:
    """id -> English name: what the task is made of, in CLDR's order."""
    names = {item: name for item, name in _cldr_names(ENGLISH).items() if _is_plain(name)}
    return MappingProxyType(_without_shared(names))


@cache
def foreign_terms(language: str, split: Split = "test") -> Mapping[str, str]:
    """id -> name in `language`, for the English terms of a split whose name there says nothing to a reader of English alone.

    Left out: what is missing, is in two classes, holds parentheses or digits, or is the English name, part of it,
    around it, or nearly it.
    """
    english = english_terms()
    names = _without_shared({item: name for item, name in _cldr_names(language).items() if item in english})
    candidates = (item for item in english_items(split) if item in names and _is_plain(names[item]))
    return MappingProxyType({item: names[item] for item in candidates if not resembles(names[item], english[item])})


@cache
def english_items(split: Split) -> tuple[str, ...]:
    """The English ids of a split in hash order, classes taking turns, as many of each as the smallest has."""
    return interleave(sorted((item for item in english_terms() if split_of(item) == split), key=digest))


def interleave(items: Iterable[str]) -> tuple[str, ...]:
    """The first items of each class in turn, as many of each as the smallest has: prefixes are balanced."""
    by_class: dict[str, list[str]] = {name: [] for name in CLASSES}
    for item in items:
        by_class[class_of(item)].append(item)
    return tuple(chain.from_iterable(zip(*by_class.values(), strict=False)))


def _cldr_names(language: str) -> dict[str, str]:
    from babel import localedata

    data: Mapping[str, Mapping[str, Any]] = localedata.load(LOCALES[language])
    return {
        f"{label}:{code}": name
        for label, table in _CLDR_TABLES.items()
        for code, name in data.get(table, {}).items()
        if isinstance(name, str) and code not in _NOT_A_TERM[label] and _is_code(label, code)
    }


def _is_code(label: str, code: str) -> bool:
    if label == "country":  # not continents, which are numbers
        return len(code) == 2 and code.isalpha()
    return "_" not in code  # not variants such as en_GB


def _is_plain(name: str) -> bool:
    return not any(c in "()（）" or c.isdigit() for c in name)


def _without_shared(names: Mapping[str, str]) -> dict[str, str]:
    classes: dict[str, set[str]] = {}
    for item, name in names.items():
        classes.setdefault(name.casefold(), set()).add(class_of(item))
    return {item: name for item, name in names.items() if len(classes[name.casefold()]) == 1}
