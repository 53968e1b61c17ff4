"""Probabilities of labels from log-likelihoods, and the priors that calibration divides out.

With `p(k | x)` the softmax of a text's log-likelihoods over the K choices, and a prior `q(k)`, the calibrated probability is

    p'(k | x) ∝ (p(k | x) / q(k))^(1 / T)

Log-likelihoods are those that the task's rule compares: of the whole continuation, summed over its tokens. N texts, K labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from polyprefix.scoring.bootstrap import Floats

PSEUDO_COUNT = 10.0
"""Answers that the reference counts as beside a language's own, in `shrunken`."""
MIXED, ALIKE = 0.4, 0.6
"""How alike texts may be, as in `likeness`: up to MIXED a difference to the reference is taken for a preference of the model, from ALIKE on
for a set of texts of one label, and the reference alone counts. docs/trust.md has what this was chosen by."""
LEAST = 1e-100
"""Of a prior: a label that no text makes likely has a logarithm too."""


def log_softmax(log_likelihoods: Floats) -> Floats:
    """Log-probabilities over the last axis, in the shape of the argument."""
    shifted = log_likelihoods - log_likelihoods.max(axis=-1, keepdims=True)
    found: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found


def calibrated(log_likelihoods_NK: Floats, prior_K: Floats, temperature: float = 1.0) -> Floats:
    """Calibrated log-probabilities, `[N, K]`.

    Args:
        log_likelihoods_NK: in nats.
        prior_K: positive; need not sum to 1.
        temperature: above 1 makes probabilities more even; it changes no order.
    """
    return log_softmax((log_softmax(log_likelihoods_NK) - np.log(prior_K)) / temperature)


def mean_probability(log_likelihoods_NK: Floats) -> Floats:
    """The mean probability of each label over texts without their answers, `[K]`: the prior of batch calibration (Zhou et al., ICLR 2024,
    arXiv 2309.17249)."""
    mean: Floats = np.exp(log_softmax(log_likelihoods_NK)).mean(axis=0)
    return np.maximum(mean, LEAST)


def uniform(count: int) -> Floats:
    """The prior that changes nothing, `[K]`."""
    return np.full(count, 1 / count)


def pooled(priors: Sequence[Floats]) -> Floats:
    """The mean of several languages' priors, each counted once, `[K]`.

    Raises:
        ValueError: if there are none.
    """
    if not priors:
        raise ValueError("a pooled prior needs at least one language")
    mean: Floats = np.mean(np.array(priors), axis=0)
    return mean


def of_other_languages(means: Mapping[str, Floats]) -> dict[str, Floats]:
    """Language -> the pooled prior of all others; a language without others is absent."""
    if len(means) < 2:
        return {}
    whole = np.sum(list(means.values()), axis=0)
    return {code: np.maximum((whole - mean) / (len(means) - 1), LEAST) for code, mean in means.items()}


def shrunken(log_likelihoods_NK: Floats, reference_K: Floats) -> Floats:
    """A language's own prior, drawn to a reference, `[K]`.

    First the own mean is drawn to the reference, which counts as `PSEUDO_COUNT` texts (`dirichlet_mean`). Texts of one label look like a
    preference of the model for it. Where most texts get one label once the reference is divided out, the own mean is therefore not
    followed (`MIXED`, `ALIKE`).

    Args:
        log_likelihoods_NK: of the language's texts.
        reference_K: the pooled prior of other languages, a content-free one, or `uniform`.
    """
    drawn = dirichlet_mean(mean_probability(log_likelihoods_NK), len(log_likelihoods_NK), reference_K)
    alike = likeness(log_likelihoods_NK, reference_K)
    weight = min(1.0, max(0.0, (ALIKE - alike) / (ALIKE - MIXED)))
    prior: Floats = np.exp(log_softmax(weight * np.log(drawn) + (1 - weight) * np.log(reference_K)))
    return prior


def dirichlet_mean(mean_K: Floats, count: int, reference_K: Floats) -> Floats:
    """The mean over `count` texts and `PSEUDO_COUNT` texts of the reference, as of a Dirichlet posterior, `[K]`."""
    found: Floats = (count * mean_K + PSEUDO_COUNT * reference_K) / (count + PSEUDO_COUNT)
    return found


def likeness(log_likelihoods_NK: Floats, reference_K: Floats) -> float:
    """The share of texts that get the most frequent label once the reference is divided out: 0 for labels of equal frequency, 1 for one."""
    N, K = log_likelihoods_NK.shape
    chosen = (log_likelihoods_NK - np.log(reference_K)).argmax(axis=1)
    share = float(np.bincount(chosen, minlength=K).max()) / N
    return (share - 1 / K) / (1 - 1 / K)


def content_free(log_likelihoods_CK: Floats) -> Floats:
    """The prior of contextual calibration (Zhao et al., ICML 2021, arXiv 2102.09690), `[K]`: the mean probability after C content-free
    inputs such as `N/A`."""
    return mean_probability(log_likelihoods_CK)


def domain_premise(log_likelihoods_K: Floats) -> Floats:
    """The prior of domain conditional PMI (Holtzman et al., EMNLP 2021, arXiv 2104.08315), `[K]`: the probabilities after nothing but the
    words that every prompt ends with. What is left, `log P(k | x) - log P(k | premise)`, is pointwise mutual information."""
    return np.exp(log_softmax(log_likelihoods_K))
