"""Do the differences between systems depend on a property of languages, such as resources or script?

One test for each grouping in place of one for each group: the interaction of system and group in an analysis of variance
in which languages are drawn at random from their groups, every system measured on each of them (a split-plot design;
D. Montgomery, *Design and Analysis of Experiments*, chapter 14). Systems are not equally variable and equally alike, so
both degrees of freedom are multiplied by Greenhouse and Geisser's epsilon (Psychometrika 24, 1959). With two systems it is
the one-way F test of the languages' differences.

M systems, L languages, G groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polyprefix.scoring.bootstrap import Floats
from polyprefix.statistics.groups import UNKNOWN

LEAST = 2
"""Languages of a group that is tested; smaller ones show no variance of their own."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """The test of one grouping."""

    grouping: str
    groups: int
    languages: int
    """In groups that are tested."""
    f: float
    degrees: tuple[float, float]
    p_value: float
    adjusted: float = 1.0
    """After Benjamini and Hochberg's correction over the groupings of one call."""


def interaction(grouping: str, scores_ML: Floats, groups: Sequence[Sequence[int]]) -> Interaction | None:
    """Test whether differences between systems are the same in all groups.

    Args:
        grouping: what groups have in common.
        scores_ML: score of each system in each language.
        groups: places of the languages of each group.

    Returns:
        None with fewer than two systems or two groups of two languages, or if no score differs.
    """
    from scipy.stats import f

    members = [np.array(group, dtype=int) for group in groups if len(group) >= LEAST]
    M, G, L = len(scores_ML), len(members), sum(map(len, members))
    if M < 2 or G < 2:
        return None
    basis = _contrasts(M)
    parts = [(basis @ scores_ML[:, group]).T for group in members]  # [L_g, M - 1]
    grand = np.concatenate(parts).mean(axis=0)
    between = sum(len(part) * float(np.sum((part.mean(axis=0) - grand) ** 2)) for part in parts)
    residuals = np.concatenate([part - part.mean(axis=0) for part in parts])
    within = float(np.sum(residuals**2))
    if within <= 1e-18:
        return None
    covariance = residuals.T @ residuals
    epsilon = float(np.trace(covariance) ** 2 / ((M - 1) * np.sum(covariance**2)))
    top, bottom = (M - 1) * (G - 1), (M - 1) * (L - G)
    value = (between / top) / (within / bottom)
    degrees = epsilon * top, epsilon * bottom
    return Interaction(grouping, G, L, value, degrees, float(f.sf(value, *degrees)))


def interactions(scores_ML: Floats, groups: Mapping[tuple[str, str], Sequence[int]]) -> tuple[Interaction, ...]:
    """Of every grouping that can be tested; not yet corrected.

    Args:
        groups: (grouping, name) -> places of languages; those of which the property is not known are left out.
    """
    found = []
    for grouping in dict.fromkeys(grouping for grouping, _ in groups):
        members = [columns for (other, name), columns in groups.items() if other == grouping and name != UNKNOWN]
        if (one := interaction(grouping, scores_ML, members)) is not None:
            found.append(one)
    return tuple(found)


def _contrasts(M: int) -> Floats:
    """An orthonormal basis of what is left of M scores without their mean, `[M - 1, M]`."""
    q, _ = np.linalg.qr(np.column_stack([np.ones(M), np.eye(M)[:, 1:]]))
    basis: Floats = q[:, 1:].T
    return basis
