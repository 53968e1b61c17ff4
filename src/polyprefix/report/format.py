"""How figures are written: shares as percentages with one decimal, intervals in brackets, quantities with units."""

from __future__ import annotations

from collections.abc import Mapping

from polyprefix.progress import duration

ABSENT = "–"
STARS = "** significant incl. seed variance (corrected p < 0.05), * significant (fixed seeds), where one seed was run"
"""What the stars of a difference say (`polyprefix.statistics.comparisons`)."""


def percent(share: float) -> str:
    """
    >>> percent(0.5634)
    '56.3'
    """
    return f"{100 * share:.1f}"


def signed(share: float) -> str:
    """With its sign, and none for what rounds to zero.

    >>> signed(0.151), signed(-0.02), signed(-0.0001)
    ('+15.1', '-2.0', '0.0')
    """
    text = f"{100 * share:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def p_value(p: float) -> str:
    """
    >>> p_value(0.0312), p_value(0.00001), p_value(1)
    ('.031', '<.001', '1.000')
    """
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def interval(ci95: tuple[float, float], with_sign: bool = False) -> str:
    """
    >>> interval((0.506, 0.6191)), interval((-0.01, 0.02), with_sign=True)
    ('[50.6, 61.9]', '[-1.0, +2.0]')
    """
    low, high = map(signed if with_sign else percent, ci95)
    return f"[{low}, {high}]"


def size(amount: float) -> str:
    """
    >>> size(2.5e9), size(1.2e6)
    ('2.5 GB', '1.2 MB')
    """
    return f"{amount / 1e9:.1f} GB" if amount >= 1e9 else f"{amount / 1e6:.1f} MB"


def trained_share(parameters: Mapping[str, int]) -> str:
    """
    >>> trained_share({"trainable": 163840, "total": 268098176})
    '163,840 of 268,098,176 (0.061%)'
    """
    trainable, total = parameters["trainable"], parameters["total"]
    if not total:  # runs of other tools may not say
        return ABSENT
    return f"{trainable:,} of {total:,} ({100 * trainable / total:.2g}%)"


def costs(cost: Mapping[str, float]) -> dict[str, str]:
    """Cost as `result.json` names it -> label and figure for people.

    >>> costs({"train_seconds": 90, "peak_memory_bytes": 3e9, "eval_examples_per_second": 31.25})
    {'train time': '1 min 30 s', 'peak memory': '3.0 GB', 'eval examples per second': '31.2'}
    >>> costs({"peak_flops_per_second": 1.7e11, "train_flops": 3.22e12})
    {'peak': '170 GFLOP/s', 'train work': '3.22 TFLOP'}
    """
    labelled = {}
    for key, value in cost.items():
        label = key.replace("_", " ")
        if key.endswith("_bytes"):
            labelled[label.removesuffix(" bytes")] = size(value)
        elif key.endswith("_seconds"):
            labelled[label.removesuffix("seconds") + "time"] = duration(value)
        elif key.endswith(("_share", "_mfu")):
            labelled[label] = f"{100 * value:.3g}%"
        elif key.endswith("_flops_per_second"):
            labelled[label.removesuffix(" flops per second")] = f"{value / 1e9:,.0f} GFLOP/s"
        elif key.endswith("_flops"):
            labelled[label.removesuffix("flops") + "work"] = f"{value / 1e12:,.3g} TFLOP"
        else:
            labelled[label] = f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
    return labelled
