"""Law: the table says who each benchmark's languages are, as the field knows them, and leaves open what nobody says."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import astuple, fields
from pathlib import Path

import pytest

from polyprefix import languages
from polyprefix.errors import LanguageError
from polyprefix.languages import Language, all_languages, get, select

GENERATOR = Path(__file__).parents[2] / "tools" / "make_language_table.py"


def codes_of(name: str) -> list[str]:
    found = re.search(rf'^    "{name}": """(.*?)"""', GENERATOR.read_text(encoding="utf-8"), re.S | re.M)
    assert found, name
    return found[1].split()


def test_codes_and_names_are_unique_and_well_formed() -> None:
    rows = all_languages()
    assert len(rows) == len({row.code for row in rows}) == len({row.name for row in rows})
    for row in rows:
        assert row.code == f"{row.iso639_3}_{row.script}"
        assert re.fullmatch("[a-z]{3}_[A-Z][a-z]{3}", row.code)
        assert row.glottocode is None or re.fullmatch("[a-z]{4}[0-9]{4}", row.glottocode)


@pytest.mark.parametrize(
    ("benchmark", "number"),
    [("belebele", 122), ("xnli", 15), ("xquad", 12), ("mgsm", 11), ("sib200 besides belebele", 88)],
)
def test_every_benchmark_language_has_a_name_a_script_and_a_family(benchmark: str, number: int) -> None:
    codes = codes_of(benchmark)
    assert len(codes) == len(set(codes)) == number
    for code in codes:
        row = get(code)
        assert row.name
        assert row.script_name
        assert row.family


def test_belebele_has_18_families() -> None:
    assert len({get(code).family for code in codes_of("belebele")}) == 18


@pytest.mark.parametrize(
    ("code", "name", "family", "branch"),
    [
        ("swh_Latn", "Swahili", "Atlantic-Congo", "Benue-Congo"),
        ("hin_Deva", "Hindi", "Indo-European", "Indo-Aryan"),
        ("pes_Arab", "Western Persian", "Indo-European", "Iranian"),
        ("rus_Cyrl", "Russian", "Indo-European", "Slavic"),
        ("lit_Latn", "Lithuanian", "Indo-European", "Baltic"),
        ("spa_Latn", "Spanish", "Indo-European", "Romance"),
        ("fin_Latn", "Finnish", "Uralic", "Finnic"),
        ("est_Latn", "Estonian", "Uralic", "Finnic"),
        ("eus_Latn", "Basque", "Isolate", None),
        ("hat_Latn", "Haitian Creole", "Indo-European", "Creole"),
        ("zho_Hans", "Chinese (Simplified)", "Sino-Tibetan", "Sinitic"),
        ("arb_Arab", "Modern Standard Arabic", "Afro-Asiatic", "Semitic"),
        ("tgl_Latn", "Tagalog", "Austronesian", "Malayo-Polynesian"),
        ("kor_Hang", "Korean", "Koreanic", None),
        ("grn_Latn", "Guarani", "Tupian", "Eastern Tupian"),
        ("nqo_Nkoo", "N'Ko", "Mande", "Western Mande"),
        ("hin_Latn", "Hindi (Latin)", "Indo-European", "Indo-Aryan"),
    ],
)
def test_known_languages(code: str, name: str, family: str, branch: str | None) -> None:
    row = get(code)
    assert (row.name, row.family, row.branch) == (name, family, branch)


def test_all_rows_of_a_language_agree_on_what_no_script_changes() -> None:
    written = {"code", "name", "script", "script_name", "direction", "resource_proxy", "resource_class_proxy"}
    shared = [field.name for field in fields(Language) if field.name not in written]
    first: dict[str, Language] = {}
    for row in all_languages():
        other = first.setdefault(row.iso639_3, row)
        assert [getattr(row, name) for name in shared] == [getattr(other, name) for name in shared], row.code


def test_numbers_lie_in_their_ranges_and_english_is_at_distance_zero() -> None:
    for row in all_languages():
        for distance in (row.genetic_distance, row.syntactic_distance, row.featural_distance, row.geographic_distance):
            assert distance is None or 0 <= distance <= 1
            assert distance != 0 or row.iso639_3 == "eng", f"{row.code}: a distance of 0 is a sign of missing features"
        assert row.latitude is None or -90 <= row.latitude <= 90
        assert row.longitude is None or -180 <= row.longitude <= 180
        assert (row.latitude is None) == (row.longitude is None)
    assert get("deu_Latn").syntactic_distance < get("hin_Deva").syntactic_distance  # type: ignore[operator]


def test_resource_levels_are_the_sources_and_inherited_ones_are_marked() -> None:
    high = {row.iso639_3 for row in all_languages() if row.resource_level == "high"}
    assert high == {"arb", "deu", "eng", "fra", "jpn", "spa", "zho"}  # class 5 of Joshi et al. (2020)
    assert get("uzn_Latn").resource_proxy == "uzb"
    assert get("hin_Latn").resource_proxy == "hin_Deva"
    assert get("hin_Deva").resource_proxy is None
    for row in all_languages():
        assert row.resource_level in ("high", "medium", "low", None)
        assert row.resource_proxy is None or row.resource_level


def test_resource_classes_are_joshis_and_never_contradict_the_levels() -> None:
    levels = {"high": {5}, "medium": {3, 4}, "low": {0, 1, 2}}
    for row in all_languages():
        if row.resource_class is None:
            assert row.resource_class_proxy is None
        else:
            assert row.resource_class in range(6)
            if row.resource_level and not row.resource_class_proxy:
                assert row.resource_class in levels[row.resource_level], row.code
    assert [get(code).resource_class for code in ("eng_Latn", "hin_Deva", "ukr_Cyrl", "swh_Latn", "zul_Latn")] == [
        5, 4, 3, 2, 2,
    ]  # fmt: skip
    assert get("arb_Arab").resource_class_proxy == "ara" and get("hin_Latn").resource_class_proxy == "hin_Deva"
    assert get("ars_Arab").resource_class is None  # a dialect that nobody listed
    assert sum(row.resource_class is not None for row in all_languages()) >= 200


def test_what_is_missing_is_none_and_never_an_empty_text() -> None:
    assert not [row.code for row in all_languages() if "" in astuple(row)]
    assert get("kon_Latn").glottocode is None


def test_get_names_the_nearest_code() -> None:
    with pytest.raises(LanguageError, match=r"swh_Latin.*did you mean 'swh_Latn'"):
        get("swh_Latin")


def test_select() -> None:
    assert [row.code for row in select(script="Ethi")] == ["amh_Ethi", "tir_Ethi"]
    assert select(script="ethiopic") == select(script="Ethi")
    romance = select(family="indo-european", branch="Romance", resource_level="high")
    assert {row.code for row in romance} == {"fra_Latn", "spa_Latn"}
    assert select() == all_languages()
    assert select(script="Grek", family="Uralic") == ()
    with pytest.raises(LanguageError, match=r"family 'Indoeuropean'.*Indo-European"):
        select(family="Indoeuropean")


def test_reading_the_table_is_fast_and_needs_no_heavy_library() -> None:
    code = (
        "import sys, time; from polyprefix.languages import all_languages, find; start = time.perf_counter();"
        "all_languages(); find('sw'); print(time.perf_counter() - start, end=' ');"
        "print({'torch', 'pandas', 'numpy', 'pydantic'} & set(sys.modules))"
    )
    best, loaded = min(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split(" ", 1)
        for _ in range(3)
    )
    assert loaded.strip() == "set()"
    assert float(best) < 0.1  # 10 ms or so; the rest is for busy machines


def test_rows_are_read_once() -> None:
    start = time.perf_counter()
    assert all_languages() is languages.all_languages()
    assert time.perf_counter() - start < 0.01
