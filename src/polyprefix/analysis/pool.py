"""Several settings as one: the average over every language of every task and model.

M systems, S seeds, L languages, I ids.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from polyprefix.analysis.answers import Answers
from polyprefix.analysis.groups import beyond_english


def pool(parts: Mapping[tuple[str, str], Answers]) -> Answers | None:
    """Answers over all parts with one column, whose mean is the unweighted mean over all languages but English of all parts.

    An id counts for what it adds to that mean in all its languages and with all models (its influence, which is linear), so
    that answers to translations of one example, and of several models to it, stay one draw. Ids of different tasks are
    different draws.

    Args:
        parts: (task, model) -> answers with the names of their ids.

    Returns:
        The answers of the systems and seeds that all parts have; None if there is none, or no part.
    """
    each = list(parts.values())
    systems = tuple(name for name in (each[0].systems if each else ()) if all(name in part.systems for part in each))
    seeds = tuple(seed for seed in (each[0].seeds if each else ()) if all(seed in part.seeds for part in each))
    if not systems or not seeds:
        return None
    keys = sorted({(task, key) for (task, _), part in parts.items() for key in part.ids})
    place = {key: i for i, key in enumerate(keys)}
    total = sum(len(beyond_english(part.languages)) for part in each)
    values_MSI = np.zeros((len(systems), len(seeds), len(keys)))
    mean_M = np.zeros(len(systems))
    for (task, _), part in parts.items():
        columns = beyond_english(part.languages)
        chosen = np.ix_(list(map(part.systems.index, systems)), list(map(part.seeds.index, seeds)), columns)
        means_ML = part.means[chosen].mean(axis=1)
        scale_L = len(keys) / (total * part.counts[columns])
        centred = (part.values[chosen] - means_ML[:, None, :, None]) * part.present[columns]
        values_MSI[..., [place[task, key] for key in part.ids]] += np.einsum("msli,l->msi", centred, scale_L)
        mean_M += means_ML.sum(axis=1) / total
    values_MSI += mean_M[:, None, None]
    names = tuple(f"{task} {key}" for task, key in keys)
    return Answers(systems, seeds, ("all",), values_MSI[:, :, None], np.ones((1, len(keys)), dtype=bool), names)
