"""Write src/polyprefix/languages/languages.csv and aliases.csv from published sources.

The package never imports these sources: they load slowly and their data is share-alike, so the two files made here are
kept, with their own licence (languages/LICENSE.md). Run it in an environment of its own, from the repository's root:

    pip install langcodes==3.5.1 language_data==1.4.0 qwanqwa==1.2.1 urielplus==1.3.2
    pip download --no-deps --no-binary :all: distals==0.1.1 && tar xzf distals-0.1.1.tar.gz
    PYTHONPATH=src python tools/make_language_table.py distals-0.1.1/data

What comes from where:
    names of languages and scripts, macrolanguages, likely scripts   langcodes (CLDR, IANA subtag registry; MIT)
    ISO 639 codes, glottocodes, family trees, coordinates            qwanqwa (Glottolog and others; CC BY-SA 4.0)
    resource levels, distances from English                          urielplus (URIEL+; CC BY-SA 4.0)
    resource classes                                                 lang2tax.txt of Joshi et al. (2020) and its ISO
                                                                     codes, in distals (CC BY-SA 4.0)
    directions of scripts                                            RIGHT_TO_LEFT below; tests compare with Unicode
"""

from __future__ import annotations

import csv
import json
import logging
import sys
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import langcodes
import numpy as np
from langcodes import data_dicts
from qq import Database, IdType
from urielplus.urielplus import URIELPlus

from polyprefix.languages.registry import normalise
from polyprefix.languages.table import Language

FOLDER = Path(__file__).parents[1] / "src" / "polyprefix" / "languages"

# Codes per benchmark, as their publishers spell them (FLORES-200: ISO 639-3 and ISO 15924), and how many there are.
CODES = {
    "belebele": """
acm_Arab afr_Latn als_Latn amh_Ethi apc_Arab arb_Arab arb_Latn ars_Arab ary_Arab arz_Arab asm_Beng azj_Latn bam_Latn
ben_Beng ben_Latn bod_Tibt bul_Cyrl cat_Latn ceb_Latn ces_Latn ckb_Arab dan_Latn deu_Latn ell_Grek eng_Latn est_Latn
eus_Latn fin_Latn fra_Latn fuv_Latn gaz_Latn grn_Latn guj_Gujr hat_Latn hau_Latn heb_Hebr hin_Deva hin_Latn hrv_Latn
hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn jav_Latn jpn_Jpan kac_Latn kan_Knda kat_Geor kaz_Cyrl
kea_Latn khk_Cyrl khm_Khmr kin_Latn kir_Cyrl kor_Hang lao_Laoo lin_Latn lit_Latn lug_Latn luo_Latn lvs_Latn mal_Mlym
mar_Deva mkd_Cyrl mlt_Latn mri_Latn mya_Mymr nld_Latn nob_Latn npi_Deva npi_Latn nso_Latn nya_Latn ory_Orya pan_Guru
pbt_Arab pes_Arab plt_Latn pol_Latn por_Latn ron_Latn rus_Cyrl shn_Mymr sin_Latn sin_Sinh slk_Latn slv_Latn sna_Latn
snd_Arab som_Latn sot_Latn spa_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn tam_Taml tel_Telu tgk_Cyrl tgl_Latn
tha_Thai tir_Ethi tsn_Latn tso_Latn tur_Latn ukr_Cyrl urd_Arab urd_Latn uzn_Latn vie_Latn war_Latn wol_Latn xho_Latn
yor_Latn zho_Hans zho_Hant zsm_Latn zul_Latn
""",
    "sib200 besides belebele": """
ace_Arab ace_Latn acq_Arab aeb_Arab ajp_Arab aka_Latn ast_Latn awa_Deva ayr_Latn azb_Arab bak_Cyrl ban_Latn bel_Cyrl
bem_Latn bho_Deva bjn_Arab bjn_Latn bos_Latn bug_Latn cjk_Latn crh_Latn cym_Latn dik_Latn dyu_Latn dzo_Tibt epo_Latn
ewe_Latn fao_Latn fij_Latn fon_Latn fur_Latn gla_Latn gle_Latn glg_Latn hne_Deva kab_Latn kam_Latn kas_Arab kas_Deva
kbp_Latn kik_Latn kmb_Latn kmr_Latn knc_Arab knc_Latn kon_Latn lij_Latn lim_Latn lmo_Latn ltg_Latn ltz_Latn lua_Latn
lus_Latn mag_Deva mai_Deva min_Arab min_Latn mni_Beng mos_Latn nno_Latn nqo_Nkoo nus_Latn oci_Latn pag_Latn pap_Latn
prs_Arab quy_Latn run_Latn sag_Latn san_Deva sat_Olck scn_Latn smo_Latn srd_Latn szl_Latn taq_Latn taq_Tfng tat_Cyrl
tpi_Latn tuk_Latn tum_Latn twi_Latn tzm_Tfng uig_Arab umb_Latn vec_Latn ydd_Hebr yue_Hant
""",
    "xnli": """
arb_Arab bul_Cyrl deu_Latn ell_Grek eng_Latn fra_Latn hin_Deva rus_Cyrl spa_Latn swh_Latn tha_Thai tur_Latn urd_Arab
vie_Latn zho_Hans
""",
    "xquad": """
arb_Arab deu_Latn ell_Grek eng_Latn hin_Deva ron_Latn rus_Cyrl spa_Latn tha_Thai tur_Latn vie_Latn zho_Hans
""",
    "mgsm": """
ben_Beng deu_Latn eng_Latn fra_Latn jpn_Jpan rus_Cyrl spa_Latn swh_Latn tel_Telu tha_Thai zho_Hans
""",
    "terms besides FLORES": """
bos_Cyrl ccp_Cakm chr_Cher ful_Adlm kaz_Arab srp_Latn uzn_Cyrl yue_Hans
""",
}
EXPECTED = {
    "belebele": 122,
    "sib200 besides belebele": 88,  # SIB-200 has 205: these and Belebele's, without five romanised ones
    "xnli": 15,
    "xquad": 12,
    "mgsm": 11,
    "terms besides FLORES": 8,
}

# Overrides. The reason stands beside each.
NAMES = {
    "tgl": "Tagalog",  # langcodes normalises tgl to fil, 'Filipino'
    # what the field calls them
    "ben": "Bengali", "arb": "Modern Standard Arabic", "prs": "Dari", "pes": "Western Persian",
    "als": "Tosk Albanian", "kac": "Jingpho", "yue": "Yue Chinese", "ccp": "Chakma",
    "luo": "Luo", "ful": "Fula",  # without the countries in parentheses, which look like a script
}  # fmt: skip
GLOTTOCODES = {
    "est": "esto1258", "zho": "mand1415", "grn": "para1311", "ful": "fula1264",  # macrolanguages: no node of their own
    "ajp": "sout3123",  # retired from ISO 639-3 in 2023 and merged into apc; Glottolog keeps the variety
}  # fmt: skip
RELATIVES = {"kon": "kng", "srd": "src"}  # macrolanguages without a main member: one's tree, but not its coordinates
FAMILIES = {
    "eus": ("Isolate", None),  # Glottolog gives a family of one no name
    "nqo": ("Mande", "Western Mande"),  # written standard of the Manding languages; Glottolog has it under 'artificial'
}
CREOLES = {"hat", "kea", "pap", "tpi"}  # Glottolog files them under their lexifiers; the branch says what they are
DEEPER = {  # nodes that hold nearly the whole family: the branch is the next one down
    "Classical Indo-European", "Indo-Iranian", "Balto-Slavic", "Volta-Congo",
}  # fmt: skip
BRANCH_NAMES = {  # Glottolog's node -> the usual name
    "Italic": "Romance",  # all living Italic languages are Romance
    "Iranian-Nuristani": "Iranian", "Eastern Baltic": "Baltic", "Graeco-Phrygian": "Greek", "Armenic": "Armenian",
    "Kwa Volta-Congo": "Kwa",
}  # fmt: skip
SCRIPT_NAMES = {"Hans": "Han (Simplified)", "Hant": "Han (Traditional)", "Beng": "Bengali"}
RESOURCE_NODES = {"lvs": ("latv1249", "lav"), "uzn": ("uzbe1247", "uzb")}  # listed under the macrolanguage alone
CLASS_NAMES = {  # listed by Joshi et al. under a name that distals gives no ISO code
    "nob": "norwegian (bokmål)", "nno": "norwegian (nynorsk)", "pan": "eastern punjabi", "kam": "kamba", "ful": "fula",
}  # fmt: skip
CLASS_PROXIES = {  # listed under the macrolanguage alone, whose main member or written standard this is
    "arb": "ara", "pes": "fas", "lvs": "lav", "uzn": "uzb", "als": "sqi", "azj": "aze", "plt": "mlg", "gaz": "orm",
    "quy": "que", "ayr": "aym", "ydd": "yid", "ckb": "kur", "dik": "din", "taq": "tmh", "knc": "kau",
    "zho": "cmn",  # Mandarin is what 'Chinese' means in these benchmarks
}  # fmt: skip
CLASS_PROXY_NAMES = {"zsm": ("msa", "malay"), "pbt": ("pus", "pashto")}  # likewise, and without an ISO code
URIEL_CODES = {  # URIEL keeps these under the macrolanguage, wholly or in part
    "lvs": "lav", "ory": "ori", "pbt": "pus", "azj": "aze", "nob": "nor", "nno": "nor",
    "npi": "nep", "khk": "mon", "uzn": "uzb", "plt": "mlg", "swh": "swa", "zsm": "msa", "gaz": "orm", "als": "sqi",
}  # fmt: skip
PREFERRED_URIEL_CODES = {"zho": ("cmn", "zho")}  # Mandarin is what 'Chinese' means in these benchmarks
MIN_SHARED = 20  # over fewer common features a distance is 0 or 1 by accident (Tswana 0.0, Papiamento 1.0)


@dataclass(frozen=True)
class Place:
    """Where a language stands in the tree and on the map."""

    glottocode: str | None
    family: str | None
    branch: str | None
    latitude: float | None
    longitude: float | None


def place(database: Database, iso: str) -> Place:
    """Family, branch and coordinates of an ISO 639-3 code."""
    if iso in GLOTTOCODES:
        node: Any = database.get(GLOTTOCODES[iso], id_type=IdType.GLOTTOCODE)
    else:
        node = database.get(RELATIVES.get(iso, iso), id_type=IdType.ISO_639_3)
    path = [parent.name for parent in reversed(node.family_tree)]
    family = path[0] if path else node.name
    below = [name for name in path[1:] if name not in DEEPER]
    branch = BRANCH_NAMES.get(below[0], below[0]) if below else None
    if family == "Indo-European" and branch is None:
        branch = node.name
    family, branch = FAMILIES.get(iso, (family, "Creole" if iso in CREOLES else branch))
    if iso in RELATIVES:
        return Place(None, family, branch, None, None)
    return Place(node.glottocode, family, branch, _rounded(node.latitude), _rounded(node.longitude))


class Distances:
    """URIEL+ distances from English, 0 to 1, where there is enough to compare."""

    def __init__(self) -> None:
        logging.disable(logging.INFO)
        self.uriel = URIELPlus()
        known = (self.uriel.data[1] > -1).any(axis=2)
        rows = {str(code): row for code, row in zip(self.uriel.langs[1], known, strict=True)}
        syntactic = np.array([feature.startswith("S_") for feature in self.uriel.feats[1]])
        self.shared = {
            "syntactic": {code: int((row & rows["eng"] & syntactic).sum()) for code, row in rows.items()},
            "featural": {code: int((row & rows["eng"]).sum()) for code, row in rows.items()},
            # a family vector of zeros is no data, yet it has an angle to English (0.9687)
            "genetic": {
                str(code): MIN_SHARED * int(np.any(row > 0))
                for code, row in zip(self.uriel.langs[0], self.uriel.data[0], strict=True)
            },
            "geographic": {str(code): MIN_SHARED for code in self.uriel.langs[2]},
        }

    def __call__(self, kind: str, iso: str) -> float | None:
        if iso == "eng":
            return 0.0
        codes = PREFERRED_URIEL_CODES.get(iso, (iso, URIEL_CODES.get(iso, iso)))
        code = next((code for code in codes if self.shared[kind].get(code, 0) >= MIN_SHARED), None)
        return None if code is None else round(float(self.uriel.new_distance(kind, "eng", code)), 4)


def resource_levels() -> dict[str, str]:
    """Glottocode -> high, medium or low."""
    path = files("urielplus") / "database" / "urielplus_csvs" / "resource_languages.json"
    return {node: name.split("-")[0] for name, nodes in json.loads(path.read_text()).items() for node in nodes}


def resource_classes(folder: Path) -> dict[str, tuple[int, str | None]]:
    """ISO 639-3 -> Joshi et al.'s class, and the code of the language whose class it is where that is another one."""
    by_code, by_name = {}, {}
    for line in (folder / "lang2tax.txt.codes").read_text(encoding="utf-8").splitlines():
        code, level, _ = line.split(",", 2)
        by_code[code] = int(level)
    for line in (folder / "lang2tax.txt").read_text(encoding="utf-8").splitlines():
        name, level = line.rsplit(",", 1)
        by_name[name] = int(level)
    found: dict[str, tuple[int, str | None]] = {code: (level, None) for code, level in by_code.items()}
    found |= {code: (by_name[name], None) for code, name in CLASS_NAMES.items()}
    found |= {code: (by_code[proxy], proxy) for code, proxy in CLASS_PROXIES.items()}
    return found | {code: (by_name[name], proxy) for code, (proxy, name) in CLASS_PROXY_NAMES.items()}


def english_name(iso: str) -> str:
    """The name in English, without CLDR's remark on individual languages."""
    name = langcodes.Language.get(iso).display_name()
    return NAMES.get(iso, name.removesuffix(" (individual language)").replace("’", "'"))


def script_name(script: str) -> str:
    """CLDR's name of a script."""
    return SCRIPT_NAMES.get(script, langcodes.Language.make(script=script).script_name().replace("’", "'"))


RIGHT_TO_LEFT = {"Adlm", "Arab", "Hebr", "Nkoo", "Syrc", "Thaa"}  # tests compare with the letters' classes


def make_rows(database: Database, classes: dict[str, tuple[int, str | None]]) -> Iterator[Language]:
    """The table, sorted by ISO 639-3 code; of several scripts the usual one comes first."""
    codes = sorted({code for text in CODES.values() for code in text.split()})
    scripts: dict[str, list[str]] = {}
    for code in codes:
        scripts.setdefault(code[:3], []).append(code[4:])
    distance, levels = Distances(), resource_levels()
    for iso, written in scripts.items():
        usual = langcodes.Language.get(iso).maximize().script
        written.sort(key=lambda script: (script != usual, script))
        here = place(database, iso)
        node, proxy = RESOURCE_NODES.get(iso, (here.glottocode, None))
        level = levels.get(node) if node else None
        joshi, joshi_proxy = classes.get(iso, (None, None))
        distances = {f"{kind}_distance": distance(kind, iso) for kind in distance.shared}
        for script in written:
            name = english_name(iso)
            if script != written[0] or (len(written) > 1 and script in {"Hans", "Hant"}):
                name += f" ({script_name(script).removeprefix('Han (').removesuffix(')')})"
            # the level is one of a language, gathered from its usual script
            source = proxy if script == written[0] else f"{iso}_{written[0]}"
            class_source = joshi_proxy if script == written[0] else f"{iso}_{written[0]}"
            yield Language(
                code=f"{iso}_{script}", name=name, iso639_3=iso, glottocode=here.glottocode, script=script,
                script_name=script_name(script), direction="rtl" if script in RIGHT_TO_LEFT else "ltr",
                family=here.family, branch=here.branch, resource_level=level, resource_proxy=source if level else None,
                resource_class=joshi, resource_class_proxy=None if joshi is None else class_source, **distances,
                latitude=here.latitude, longitude=here.longitude,
            )  # fmt: skip


def make_aliases(database: Database, rows: list[Language]) -> list[tuple[str, str]]:
    """(normalised alias, code), the preferred code of an alias first: own names, macrolanguages, other names."""
    position = {row.code: sum(other.iso639_3 == row.iso639_3 for other in rows[:i]) for i, row in enumerate(rows)}
    several = {row.iso639_3 for row in rows if position[row.code]}
    ranked: set[tuple[str, int, int, str]] = set()
    for row in rows:
        iso, short = row.iso639_3, english_name(row.iso639_3)
        style = row.script_name.removeprefix("Han (").removesuffix(")")
        node: Any = database.get(iso, id_type=IdType.ISO_639_3)
        own = node if node.iso_639_3 == iso else None  # a retired code leads to its successor
        texts: dict[int, list[str | None]] = {
            0: [row.code, row.name, iso, short, f"{short} {style}", f"{style} {short}", *EXTRA_NAMES.get(iso, ())],
            1: [],
            2: [langcodes.Language.get(iso).display_name(), langcodes.Language.get(iso, normalize=False).autonym()],
            3: [],
        }
        if own:
            texts[0] += [own.iso_639_1, own.iso_639_2b]
            texts[2] += [own.name, own.endonym]
        if iso in several and own:  # a region may imply a script, as in zh-TW
            texts[0] += _regions(own.iso_639_1, row.script)
        macro = DOMINANT.get(iso, data_dicts.NORMALIZED_MACROLANGUAGES.get(iso))
        if macro:
            texts[1] += _macro_names(macro) + (_regions(macro, row.script) if iso in several else [])
        elif iso in data_dicts.MACROLANGUAGES:
            texts[3] += _macro_names(data_dicts.MACROLANGUAGES[iso])
        names = ((rank, text, normalise(text)) for rank in texts for text in texts[rank] if text)
        ranked.update(
            (key, rank, position[row.code], row.code)
            for rank, text, key in names
            if key not in OTHERS_NAMES and (text == key or not _is_code(database, key))
        )
    return list(dict.fromkeys((alias, code) for alias, _, _, code in sorted(ranked) if alias))


DOMINANT = {  # the member that a macrolanguage's code means, where langcodes names none of the table
    "pbt": "ps", "quy": "qu", "fuv": "ff", "kmr": "ku", "ydd": "yi", "nob": "no", "zsm": "ms",
}  # fmt: skip
OTHERS_NAMES = {"pulaar"}  # CLDR's own name of Fulah, and ISO 639-3's of another language (fuc)
EXTRA_NAMES = {  # other codes and names in use
    "tgl": ("fil", "Filipino"), "nob": ("Norwegian",), "zho": ("cmn", "Mandarin", "Mandarin Chinese"), "est": ("ekk",),
    "grn": ("gug",), "yue": ("Cantonese",), "pes": ("Farsi",), "arb": ("Standard Arabic",), "heb": ("iw",),
    "ind": ("in",), "ron": ("mo", "Moldovan"),
}  # fmt: skip


def _is_code(database: Database, key: str) -> bool:
    """Whether a name, N'Ko, becomes the code of another language, nko, without its apostrophe."""
    try:
        return len(key) == 3 and database.get(key, id_type=IdType.ISO_639_3) is not None
    except KeyError:
        return False


def _macro_names(code: str) -> list[str | None]:
    language = langcodes.Language.get(code, normalize=False)
    return [code, language.to_alpha3(), _bibliographic(code), language.display_name(), language.autonym()]


def _bibliographic(code: str) -> str | None:
    try:
        return langcodes.Language.get(code, normalize=False).to_alpha3(variant="B")
    except LookupError:
        return None


def _regions(language: str | None, script: str) -> list[str | None]:
    """Tags of a language and a region that imply a script, such as zh-TW for Hant."""
    tags = ((tag.split("-"), full.split("-")[1]) for tag, full in data_dicts.LIKELY_SUBTAGS.items())
    implied = [tag for tag, likely in tags if len(tag) == 2 and len(tag[1]) == 2 and likely == script]
    return ["-".join(tag) for tag in implied if tag[0] == language]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def write(path: Path, header: list[str], rows: Iterable[Iterable[object]]) -> None:
    """A CSV file in UTF-8 with Unix line ends."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def main() -> None:
    """Check the lists of codes, then write both files."""
    for name, text in CODES.items():
        if len(text.split()) != EXPECTED[name] or len(set(text.split())) != EXPECTED[name]:
            raise SystemExit(f"{name}: {len(set(text.split()))} codes, expected {EXPECTED[name]}")
    if len(sys.argv) != 2:
        raise SystemExit("usage: make_language_table.py FOLDER, the data/ of distals 0.1.1")
    database = Database.load()
    rows = list(make_rows(database, resource_classes(Path(sys.argv[1]))))
    write(FOLDER / "languages.csv", [field.name for field in fields(Language)], map(astuple, rows))
    write(FOLDER / "aliases.csv", ["alias", "code"], make_aliases(database, rows))
    print(f"{len(rows)} languages")


if __name__ == "__main__":
    main()
