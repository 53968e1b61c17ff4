"""A linear model with a random intercept for each group, by restricted maximum likelihood.

    y = X b + Z u + e,   u ~ N(0, s_u^2),   e ~ N(0, s_e^2),   ratio = s_u^2 / s_e^2

The restricted likelihood is profiled down to the ratio (D. Bates et al., Journal of Statistical Software 67, 2015), which
leaves one dimension: it is searched on a grid and refined, so the maximum cannot be missed, and 0 is one of its points.
Whether groups differ is tested by the restricted likelihood ratio, whose distribution is exact in finite samples and is
simulated from eigenvalues (C. Crainiceanu and D. Ruppert, JRSS-B 66, 2004; `exactRLRT` of the R package RLRsim). The
interval of the ratio holds every value that the same test does not reject, so it excludes 0 exactly where p < 0.05.

n rows, p columns, K groups, G ratios, R simulations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from polyprefix.scoring.bootstrap import SEED, Floats

RATIOS: Floats = np.concatenate([[0.0], np.geomspace(1e-3, 1e4, 85)])
SIMULATIONS, AT_ZERO = 1000, 10_000
"""Of the likelihood ratio, at each ratio but 0 and at 0."""
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients with their standard errors, and the standard deviation of groups."""

    coefficients: Floats
    errors: Floats
    degrees: Floats
    """Satterthwaite's degrees of freedom of each coefficient."""
    group_sd: float
    group_sd_ci95: tuple[float, float]
    group_p: float
    """Of "groups do not differ"."""
    residual_sd: float
    log_likelihood: float
    """Restricted, of y over its largest value, up to a constant."""

    def effect(self, i: int) -> tuple[float, tuple[float, float], float]:
        """Value, 95% interval and p-value of a coefficient."""
        from scipy.stats import t

        value, error, degrees = (float(x[i]) for x in (self.coefficients, self.errors, self.degrees))
        half = float(t.ppf(1 - ALPHA / 2, degrees)) * error
        p = float(2 * t.sf(abs(value) / error, degrees)) if error > 0 else float(value == 0)
        return value, (value - half, value + half), p


@dataclass(frozen=True)
class _Design:
    """What does not depend on y."""

    x: Floats
    z: Floats
    """Membership of groups, `[n, K]`."""

    @cached_property
    def residual(self) -> Floats:
        """An orthonormal basis of what X leaves, `[n, n - p]`."""
        q, _ = np.linalg.qr(self.x, mode="complete")
        basis: Floats = q[:, self.x.shape[1] :]
        return basis

    @cached_property
    def spectrum(self) -> tuple[Floats, Floats]:
        """Eigenvalues m of the groups' part of the error contrasts, `[n - p]`, and their vectors."""
        a = self.residual.T @ self.z
        values, vectors = np.linalg.eigh(a @ a.T)
        return np.maximum(values, 0.0), vectors


def fit_random_intercept(y: Floats, x: Floats, groups: Sequence[str]) -> Fit:
    """Fit the model; where the likelihood is highest without a variance of groups, that variance is 0.

    Args:
        y: `[n]`.
        x: `[n, p]` of full rank.
        groups: the group of each row.

    Raises:
        ValueError: if a number is not finite, or X leaves no degree of freedom.
    """
    if not (np.isfinite(y).all() and np.isfinite(x).all() and np.abs(y).max() < 1e100):
        raise ValueError("y and x must be finite, and y below 1e100")
    if len(y) <= x.shape[1] or np.linalg.matrix_rank(x) < x.shape[1]:
        raise ValueError(f"{len(y)} rows are too few for {x.shape[1]} columns, or columns depend on each other")
    names = sorted(set(groups))
    z = (np.array(groups)[:, None] == np.array(names)).astype(float)
    design = _Design(x, z)
    values, vectors = design.spectrum
    size = float(np.abs(y).max()) or 1.0
    squares = (vectors.T @ (design.residual.T @ (y / size))) ** 2
    free = len(squares)
    if squares.sum() <= 1e-20:  # y lies in X: nothing is left to be shared out
        b: Floats = np.asarray(np.linalg.lstsq(x, y, rcond=None)[0], dtype=np.float64)
        return Fit(b, np.zeros(len(b)), np.full(len(b), float(free)), 0.0, (0.0, 0.0), 1.0, 0.0, np.inf)
    known = len(names) > 1 and values.max() > 1e-9 and np.ptp(values) > 1e-9 * values.max()
    ratio = _maximise(squares, values) if known else 0.0
    top = float(_likelihood(squares, values, np.array([ratio]))[0])
    residual = size**2 * float(np.sum(squares / (1 + ratio * values))) / free
    p, interval = _inference(squares, values, top, ratio) if known else (1.0, (0.0, np.inf))
    coefficients, errors, degrees = _fixed(y, design, ratio, residual)
    sds = (float(np.sqrt(ratio * residual)), float(np.sqrt(residual)))
    return Fit(coefficients, errors, degrees, sds[0], (size * interval[0], size * interval[1]), p, sds[1], top)


def _likelihood(squares: Floats, values: Floats, ratios: Floats) -> Floats:
    """Restricted log-likelihood of each ratio, `[..., G]`, of squared error contrasts `[..., n - p]`."""
    scale_VG = 1 + np.multiply.outer(values, ratios)
    rest = squares @ (1 / scale_VG)
    found: Floats = -0.5 * (len(values) * np.log(rest) + np.log(scale_VG).sum(axis=0))
    return found


def _maximise(squares: Floats, values: Floats) -> float:
    """The ratio with the highest likelihood."""
    from scipy.optimize import minimize_scalar

    grid = _likelihood(squares, values, RATIOS)
    best = int(grid.argmax())
    low, high = RATIOS[max(0, best - 1)], RATIOS[min(len(RATIOS) - 1, best + 1)]
    found = minimize_scalar(
        lambda ratio: -_likelihood(squares, values, np.array([ratio]))[0], bounds=(low, high), method="bounded",
        options={"xatol": 1e-6 * (1 + high)},
    )  # fmt: skip
    return float(found.x) if -found.fun > grid[best] else float(RATIOS[best])


def _inference(squares: Floats, values: Floats, top: float, ratio: float) -> tuple[float, tuple[float, float]]:
    """p-value of "the ratio is 0", and the interval of the groups' standard deviation.

    The interval holds every standard deviation whose likelihood, with the residual's maximised out, is not too far below the
    highest: the bound is that of the ratio that goes with it.
    """
    at_zero, critical_G = _null(values.round(9).tobytes(), len(values))
    zero = 2 * (top - float(_likelihood(squares, values, np.zeros(1))[0]))
    p = float((1 + np.sum(at_zero >= zero - 1e-9)) / (1 + len(at_zero)))
    free, ratios = len(values), RATIOS[1:]
    scale_VG = 1 + np.multiply.outer(values, ratios)
    rest_G, logs_G = squares @ (1 / scale_VG), np.log(scale_VG).sum(axis=0)
    sds = float(np.sqrt(squares.sum() / free)) * np.geomspace(1e-2, 1e2, 400)
    residuals = np.square(sds)[:, None] / ratios
    at = -0.5 * (free * np.log(residuals) + logs_G + rest_G / residuals)  # of the sd and the ratio together
    at -= 0.5 * (
        free * np.log(free) - free
    )  # the constant that `_likelihood` leaves out where it maximises the residual
    best = at.argmax(axis=1)
    excess = 2 * (top - at.max(axis=1)) - critical_G[1:][best]
    accepted = np.flatnonzero(excess <= 0)
    estimate = float(np.sqrt(ratio * np.sum(squares / (1 + ratio * values)) / free))
    low, high = (float(sds[accepted[i]]) for i in (0, -1)) if accepted.size else (estimate, estimate)
    return p, (0.0 if p >= ALPHA else min(low, estimate), max(high, estimate))


@lru_cache(maxsize=64)
def _null(spectrum: bytes, size: int) -> tuple[Floats, Floats]:
    """Likelihood ratios where the ratio is 0, sorted, and their critical value at each ratio, `[G]`."""
    values = np.frombuffer(spectrum, dtype=np.float64)[:size]
    random = np.random.default_rng(SEED)

    def statistics(ratio: float, simulations: int) -> Floats:
        squares = random.chisquare(1, size=(simulations, size)) * (1 + ratio * values)
        at = _likelihood(squares, values, np.append(RATIOS, ratio))
        found: Floats = np.sort(2 * (at.max(axis=-1) - at[:, -1]))
        return found

    critical = [float(np.quantile(statistics(ratio, SIMULATIONS), 1 - ALPHA)) for ratio in RATIOS]
    return statistics(0.0, AT_ZERO), np.array(critical)


def _fixed(y: Floats, design: _Design, ratio: float, residual: float) -> tuple[Floats, Floats, Floats]:
    """Coefficients, their standard errors, and Satterthwaite's degrees of freedom (F. Satterthwaite, Biometrics Bulletin 2, 1946)."""
    x, z = design.x, design.z
    inverse = np.linalg.inv(np.eye(len(y)) + ratio * z @ z.T)
    bread = np.linalg.inv(x.T @ inverse @ x)
    b = bread @ x.T @ inverse @ y
    errors = np.sqrt(residual * np.diag(bread))
    half = inverse @ x @ bread  # [n, p]: how each coefficient weighs rows
    from_groups, from_rows = (np.sum((z.T @ half) ** 2, axis=0), np.sum(half**2, axis=0))
    values, _ = design.spectrum
    scale = residual * (1 + ratio * values)
    # expected information of (s_u^2, s_e^2) in the error contrasts
    info = 0.5 * np.array(
        [[np.sum((values / scale) ** 2), np.sum(values / scale**2)], [np.sum(values / scale**2), np.sum(scale**-2.0)]]
    )
    free = float(len(y) - x.shape[1])
    if ratio == 0 or np.linalg.cond(info) > 1e12:
        return b, errors, np.full(len(b), free)
    covariance = np.linalg.inv(info)
    gradient = np.stack([from_groups, from_rows])  # of each coefficient's variance, [2, p]
    variance_of_errors = np.einsum("ap,ab,bp->p", gradient, covariance, gradient)
    degrees = np.clip(2 * errors**4 / np.maximum(variance_of_errors, 1e-300), 1.0, free)
    return b, errors, degrees
