"""Laws of distances between two languages: both ways alike, nothing to oneself, near relatives nearer, unknown absent."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from polyprefix import languages
from polyprefix.languages.distances import between

CODES = [one.code for one in languages.all_languages()]


@pytest.mark.parametrize("seed", range(5))
def test_both_ways_are_alike_and_between_0_and_1(seed: int) -> None:
    drawn = np.random.default_rng(seed).choice(CODES, 24, replace=False)
    for a, b in product(drawn, drawn):
        one, other = between(languages.get(a), languages.get(b)), between(languages.get(b), languages.get(a))
        assert one == other
        for value in (one.genetic, one.syntactic, one.inventory, one.geographic):
            assert value is None or 0 <= value <= 1
        if one.same_branch:
            assert one.same_family


def test_a_language_is_no_distance_from_itself_in_any_script() -> None:
    for code in CODES:
        one = between(languages.get(code), languages.get(code))
        assert (one.genetic, one.syntactic, one.inventory, one.geographic) == (0, 0, 0, 0)
        assert one.same_family in (True, None)
    scripts = between(languages.get("hin_Deva"), languages.get("hin_Latn"))
    assert scripts.genetic == 0 and scripts.same_script is False


def test_distances_from_english_are_those_of_the_table() -> None:
    """Two files, made from one source by two tools."""
    english, compared = languages.get("eng_Latn"), 0
    for code in CODES:
        one = languages.get(code)
        for kind in ("genetic", "syntactic"):
            found, known = getattr(between(english, one), kind), getattr(one, f"{kind}_distance")
            if found is not None and known is not None:
                compared += 1
                assert found == pytest.approx(known, abs=0.003), (code, kind)
    assert compared > 300


def test_the_great_circle() -> None:
    paris_to_delhi = between(languages.get("fra_Latn"), languages.get("hin_Deva"))
    assert paris_to_delhi.km == pytest.approx(6600, rel=0.1)


def test_what_is_not_known_is_absent() -> None:
    mine = between(languages.get("x-mine"), languages.get("eng_Latn"))
    assert mine.genetic is mine.geographic is mine.same_family is mine.same_script is None and mine.km is None
    basque = between(languages.get("eus_Latn"), languages.get("kor_Hang"))
    assert basque.same_family is False
