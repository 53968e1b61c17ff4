"""Worlds in which what makes a source good is known: the matrices, and their features."""

from __future__ import annotations

import numpy as np
from tests.statistics.matrices import drawn

from polyprefix.scoring.bootstrap import Floats
from polyprefix.sources.features import NAMES, Facts, feature_table
from polyprefix.sources.ranker import Observed

SOURCES = ("eng_Latn", "fra_Latn", "hin_Deva", "swh_Latn", "arb_Arab", "tur_Latn", "ind_Latn", "zho_Hans")
TARGETS = (
    *SOURCES, "spa_Latn", "ben_Beng", "zul_Latn", "heb_Hebr", "fin_Latn", "quy_Latn", "ita_Latn", "mar_Deva", "xho_Latn", "amh_Ethi",
    "azj_Latn", "tgl_Latn", "yue_Hant", "deu_Latn", "urd_Arab", "yor_Latn",
)  # fmt: skip
FEATURES = feature_table(SOURCES, TARGETS, Facts())


def column(name: str, unknown: float = 0.5) -> Floats:
    found: Floats = np.nan_to_num(FEATURES[..., NAMES.index(name)], nan=unknown)
    return found


def by_relation(rng: np.random.Generator, strength: float = 0.25) -> Floats:
    """True scores: relatives and the same script help; every target is as hard as it is."""
    helped = strength * column("same family") + strength / 2 * column("same script")
    found: Floats = np.clip(0.35 + helped + rng.normal(0, 0.06, (1, len(TARGETS))), 0.02, 0.98)
    return found


def by_nothing(rng: np.random.Generator) -> Floats:
    """True scores: every source is as good as English."""
    return np.repeat(np.clip(0.5 + rng.normal(0, 0.06, (1, len(TARGETS))), 0, 1), len(SOURCES), axis=0)


def observed(seed: int, true: Floats, *, n: int = 20, seeds: int = 2) -> Observed:
    return Observed(
        drawn(np.random.default_rng(seed), true, n=n, seeds=seeds, sources=SOURCES, targets=TARGETS), FEATURES
    )
