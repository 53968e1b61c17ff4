"""Law: every language is in one group of each grouping, and what is not known is a group of its own."""

from __future__ import annotations

import pytest

from polyprefix import languages
from polyprefix.statistics.effects import cohens_h
from polyprefix.statistics.groups import GROUPINGS, UNKNOWN, distance_band, group


def test_groups_divide_all_languages() -> None:
    codes = [row.code for row in languages.all_languages()]
    found = group(codes)
    for grouping in GROUPINGS:
        members = [code for (name, _), inside in found.items() if name == grouping for code in inside]
        assert sorted(members) == sorted(codes)


def test_known_groups() -> None:
    found = group(["deu_Latn", "hin_Deva", "swh_Latn", "eus_Latn", "ast_Latn"])
    assert found["writing", "other scripts"] == ("hin_Deva",)
    assert found["family", "Indo-European"] == ("deu_Latn", "hin_Deva", "ast_Latn")
    assert found["resources", "high"] == ("deu_Latn",)
    assert found["distance", UNKNOWN] == ("ast_Latn",)
    assert list(found)[-1] == ("distance", UNKNOWN)


def test_bands_are_thirds_in_order_of_distance() -> None:
    known = [row for row in languages.all_languages() if row.syntactic_distance is not None]
    bands = [distance_band(row).split()[0] for row in sorted(known, key=lambda row: row.syntactic_distance or 0)]
    assert sorted(bands, key=["near", "middle", "far"].index) == bands
    for band in ("near", "middle", "far"):
        assert 0.25 < bands.count(band) / len(bands) < 0.42


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (0.9, 0.8), (0.0, 1.0), (0.3, 0.35)])
def test_cohens_h_is_statsmodels(a: float, b: float) -> None:
    from statsmodels.stats.proportion import proportion_effectsize

    assert cohens_h(a, b) == pytest.approx(proportion_effectsize(a, b), abs=1e-6)
