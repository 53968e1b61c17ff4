"""Law: a language is found however people write it, and in doubt the task's own variety wins."""

from __future__ import annotations

import csv
from importlib.resources import files

import pytest

from polyprefix.errors import LanguageError
from polyprefix.languages import all_languages, find, get
from polyprefix.languages.lookup import tag
from polyprefix.languages.registry import normalise


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("swh_Latn", "swh_Latn"), ("sw", "swh_Latn"), ("swh", "swh_Latn"), ("swa", "swh_Latn"), ("sw-Latn", "swh_Latn"),
        ("swa_Latn", "swh_Latn"), ("Swahili", "swh_Latn"), ("swahili", "swh_Latn"), (" SWAHILI ", "swh_Latn"),
        ("Kiswahili", "swh_Latn"), ("sw-KE", "swh_Latn-KE"),
        ("zh", "zho_Hans"), ("zho", "zho_Hans"), ("chi", "zho_Hans"), ("cmn", "zho_Hans"), ("Chinese", "zho_Hans"),
        ("zh-Hant", "zho_Hant"), ("zh_TW", "zho_Hant-TW"), ("zh-HK", "zho_Hant-HK"), ("zh-CN", "zho_Hans-CN"),
        ("zh-Hant-TW", "zho_Hant-TW"), ("Chinese (Traditional)", "zho_Hant"), ("Traditional Chinese", "zho_Hant"),
        ("中文", "zho_Hans"), ("yue", "yue_Hant"), ("Cantonese", "yue_Hant"),
        ("english", "eng_Latn"), ("en", "eng_Latn"), ("en-US", "eng_Latn-US"), ("ENG", "eng_Latn"),
        ("ar", "arb_Arab"), ("ara", "arb_Arab"), ("Arabic", "arb_Arab"), ("Egyptian Arabic", "arz_Arab"),
        ("ar-Latn", "arb_Latn"),
        ("sr", "srp_Cyrl"), ("sr-Latn", "srp_Latn"), ("sr_ME", "srp_Latn-ME"), ("Serbian (Latin)", "srp_Latn"),
        ("hi", "hin_Deva"), ("hi-Latn", "hin_Latn"), ("Hindi (Devanagari)", "hin_Deva"), ("हिन्दी", "hin_Deva"),
        ("fa", "pes_Arab"), ("Persian", "pes_Arab"), ("no", "nob_Latn"), ("nb", "nob_Latn"), ("nn", "nno_Latn"),
        ("Norwegian Bokmal", "nob_Latn"), ("fil", "tgl_Latn"), ("tl", "tgl_Latn"), ("iw", "heb_Hebr"),
        ("he", "heb_Hebr"), ("et", "est_Latn"), ("lv", "lvs_Latn"), ("uz", "uzn_Latn"), ("uz-Cyrl", "uzn_Cyrl"),
        ("az", "azj_Latn"), ("ne", "npi_Deva"), ("or", "ory_Orya"), ("ps", "pbt_Arab"), ("mn", "khk_Cyrl"),
        ("mg", "plt_Latn"), ("ms", "zsm_Latn"), ("sq", "als_Latn"), ("ku", "kmr_Latn"), ("om", "gaz_Latn"),
        ("qu", "quy_Latn"), ("yi", "ydd_Hebr"), ("ak", "aka_Latn"),
        ("tw", "twi_Latn"), ("ger", "deu_Latn"), ("Deutsch", "deu_Latn"), ("ell", "ell_Grek"), ("gre", "ell_Grek"),
        ("Ta'izzi-Adeni Arabic", "acq_Arab"), ("pt-BR", "por_Latn-BR"), ("es-419", "spa_Latn-419"), ("Māori", "mri_Latn"),
    ],
)  # fmt: skip
def test_as_people_write_it(text: str, code: str) -> None:
    assert find(text).code == code


@pytest.mark.parametrize(
    ("text", "among", "code"),
    [
        ("sr", ["eng_Latn", "srp_Latn"], "srp_Latn"),
        ("hi", ["hin_Latn"], "hin_Latn"),
        ("ar", ["ary_Arab", "eng_Latn"], "ary_Arab"),
        ("ar", ["acm_Arab", "arb_Arab"], "arb_Arab"),
        ("Chinese", ["zho_Hant"], "zho_Hant"),
        ("az", ["azb_Arab"], "azb_Arab"),
        # a list that tells no regions apart, and one that does
        ("pt-BR", ["por_Latn", "eng_Latn"], "por_Latn"),
        ("pt-BR", ["por_Latn", "por_Latn-BR"], "por_Latn-BR"),
        ("pt", ["por_Latn", "por_Latn-BR"], "por_Latn"),
        ("pt", ["por_Latn-BR"], "por_Latn-BR"),
        ("eng_Latn", ["eng_Latn-US", "por_Latn"], "eng_Latn-US"),
        ("zh-TW", ["zho_Hans", "zho_Hant"], "zho_Hant"),
        ("sr-Latn-ME", ["srp_Cyrl", "srp_Latn"], "srp_Latn"),
        ("quc", ["quc_Cyrl"], "quc_Cyrl"),
        ("Mon", ["mnw_Mymr"], "mnw_Mymr"),
        ("Mon", ["khk_Cyrl"], "khk_Cyrl"),
        ("zzy", ["zzy"], "zzy"),
        ("zzy-Latn", ["zzy_Latn"], "zzy_Latn"),
    ],
)
def test_ambiguity_is_resolved_in_favour_of_the_task(text: str, among: list[str], code: str) -> None:
    assert find(text, among).code == code


@pytest.mark.parametrize(
    ("text", "among", "found"),
    [
        ("pt", ["por_Latn-BR", "por_Latn-PT"], "'pt' may be Portuguese .Brazil. .por_Latn-BR., Portuguese .Portugal."),
        ("pt-BR", ["por_Latn-PT"], "'pt-BR' is Portuguese .Brazil. .por_Latn-BR., which is not on offer here"),
        ("zh-TW", ["zho_Hans"], "'zh-TW' is Chinese .Traditional, Taiwan"),
        ("Mon", None, "'Mon' may be Halh Mongolian .khk_Cyrl., Mon .mnw_Mymr.; write the code"),
        ("zzy", ["eng_Latn"], "no language 'zzy'"),
        ("x-mine", ["x-yours"], "'x-mine' is x-mine .x-mine., which is not on offer"),
    ],
)
def test_what_is_not_told_apart_is_asked(text: str, among: list[str] | None, found: str) -> None:
    with pytest.raises(LanguageError, match=found):
        find(text, among)


def test_every_code_and_name_finds_its_own_row() -> None:
    for row in all_languages():
        assert find(row.code) == row
        assert find(row.code.replace("_", "-").lower()) == row
        assert find(row.name) == row
        assert find(row.iso639_3).iso639_3 == row.iso639_3


def test_errors_say_what_was_found_and_what_to_do() -> None:
    with pytest.raises(LanguageError, match=r"'Swahilli'; did you mean Swahili \(swh_Latn\)\?.*list languages"):
        find("Swahilli")
    with pytest.raises(LanguageError, match=r"'qqqq'; .*list languages"):
        find("qqqq")
    with pytest.raises(
        LanguageError, match=r"'sw' is Swahili \(swh_Latn\), which is not on offer here; choose another of 2"
    ):
        find("sw", ["eng_Latn", "deu_Latn"])
    for nothing in ("", " - "):
        with pytest.raises(LanguageError):
            find(nothing)


def test_error_suggests_only_what_the_task_has() -> None:
    with pytest.raises(LanguageError, match=r"did you mean German \(deu_Latn\)"):
        find("Germann", ["eng_Latn", "deu_Latn"])


def test_normalise() -> None:
    assert normalise("Chinese (Traditional)") == "chinese traditional"
    assert normalise("zh_Hant-TW") == "zh hant tw"
    assert normalise("N’Ko") == normalise("N'Ko") == "nko"
    assert normalise("हिन्दी") == "हिन्दी"


def test_aliases_are_normalised_and_lead_to_rows_of_the_table() -> None:
    with (files("polyprefix.languages") / "aliases.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    codes = {row.code for row in all_languages()}
    assert {row["code"] for row in rows} == codes
    assert all(row["alias"] and normalise(row["alias"]) == row["alias"] for row in rows)
    assert len(rows) == len({(row["alias"], row["code"]) for row in rows})


def test_tags_have_two_letters_where_there_are_two() -> None:
    expected = {
        "eng_Latn": "en-Latn",
        "swh_Latn": "sw-Latn",
        "zho_Hant": "zh-Hant",
        "arb_Arab": "ar-Arab",
        "ary_Arab": "ary-Arab",
    }
    assert {code: tag(get(code)) for code in expected} == expected
