"""Several settings as one: the average over every language of every task and model.

M systems, S seeds, L languages, I ids.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from polyprefix.statistics.answers import Answers
from polyprefix.statistics.settings import Setting
from polyprefix.statistics.variance import influence


def pool(settings: Mapping[tuple[str, str], Setting]) -> Answers | None:
    """Answers over all settings with one column, whose mean is the unweighted mean over all languages that no system was trained in, of all.

    An id counts for what it adds to that mean in all its languages and with all models (its influence, which is linear), so
    that answers to translations of one example, and of several models to it, stay one draw. Ids of different tasks are
    different draws.

    Args:
        settings: (task, model) -> setting.

    Returns:
        The answers of the systems that all settings have, with the seeds that all of these have; None if there is none.
    """
    each = list(settings.values())
    systems = [name for name in (each[0].systems if each else ()) if all(name in one.systems for one in each)]
    seeds = sorted(frozenset.intersection(*(one.seeds[name] for one in each for name in systems))) if systems else []
    if not seeds:
        return None
    parts = {key: one.answers(seeds, systems) for key, one in settings.items()}
    keys = sorted({(task, key) for (task, _), part in parts.items() for key in part.ids})
    place = {key: i for i, key in enumerate(keys)}
    total = sum(len(settings[key].others(part.languages)) for key, part in parts.items())
    values_MSI = np.zeros((len(systems), len(seeds), len(keys)))
    mean_M = np.zeros(len(systems))
    for key, part in parts.items():
        task, columns = key[0], settings[key].others(part.languages)
        means_ML = part.scores[:, columns]
        share_L = np.zeros(len(part.languages))
        share_L[columns] = len(keys) / (total * len(part.ids))
        here = [place[task, id] for id in part.ids]
        for m in range(len(systems)):
            values_MSI[m][:, here] += influence(part, m, share_L)
        mean_M += means_ML.sum(axis=1) / total
    values_MSI += mean_M[:, None, None]
    names = tuple(f"{task} {key}" for task, key in keys)
    return Answers(
        tuple(systems), tuple(seeds), ("all",), values_MSI[:, :, None], np.ones((1, len(keys)), dtype=bool), names
    )
