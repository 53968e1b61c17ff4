"""A verdict for each language: clearly above base and chance, not clear, or do not use.

*Clearly above* needs both: a score above chance, and above the base model's on the same examples. The p-value of a language is the larger of
the two one-sided ones (an intersection-union test, R. Berger 1982), corrected over languages by Holm's method: where a language is not
above both in truth, it is called so in at most 5% of studies, whatever the number of languages. *Do not use* needs one of two: clearly below
the base model, or clearly not above chance, which is a score below chance and a margin; the smaller p-value doubled, corrected likewise.
Intervals are simultaneous (Bonferroni): all of a system hold together in 95% of studies.

Chance is what the better of two blind answers scores: one label at random, or always the label that is right most often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from polyprefix import languages
from polyprefix.errors import ConfigError, OutputError, UserError, nearest
from polyprefix.names import DEFAULT_PROTOCOL
from polyprefix.results.table import BASE_METHOD, ResultsTable
from polyprefix.scoring.bootstrap import Floats
from polyprefix.scoring.metrics import wilson
from polyprefix.statistics.answers import Answers
from polyprefix.statistics.comparisons import ALPHA, adjust
from polyprefix.statistics.contrasts import Contrast, language_contrasts, normal_quantile, score_interval
from polyprefix.statistics.settings import Setting, read_settings
from polyprefix.statistics.untested import PredictedScore, predict_untested
from polyprefix.statistics.variance import NEGLIGIBLE, Variance, mean_language_variance

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["clearly above", "not clear", "do not use"]
MARGIN = 0.05
"""A score that is clearly less than this above chance is clearly not above it."""


@dataclass(frozen=True, slots=True)
class LanguageVerdict:
    """What can be said of a system in one tested language."""

    language: str
    verdict: Verdict
    reason: str
    """In words."""
    score: float
    """The score to expect: mean over seeds."""
    n: int
    ci: tuple[float, float]
    """Simultaneous over the languages of the system."""
    base: float | None
    difference: Contrast | None
    """To the base model on the same examples; None without one."""
    p_above: float
    """Of "not above both", corrected over languages."""
    p_unfit: float
    """Of "fit for use", corrected over languages."""


@dataclass(frozen=True, slots=True)
class SystemVerdicts:
    """One system of one task and model."""

    task: str
    model: str
    system: str
    metric: str
    base: str | None
    """The system it is compared with; None where there is none, and then verdicts are about chance alone."""
    chance: float | None
    """None where nobody can say, and then verdicts are about the base model alone."""
    margin: float
    languages: tuple[LanguageVerdict, ...]
    """From the highest score to the lowest."""
    untested: tuple[PredictedScore, ...] | str
    """Predictions for languages that were asked for, or why there are none."""

    def counts(self) -> dict[Verdict, int]:
        """How many languages have each verdict."""
        found = [one.verdict for one in self.languages]
        return {verdict: found.count(verdict) for verdict in VERDICTS}


VERDICTS: tuple[Verdict, ...] = ("clearly above", "not clear", "do not use")


@dataclass(frozen=True)
class Verdicts:
    """The verdicts of every system of a table."""

    systems: tuple[SystemVerdicts, ...]
    notes: tuple[str, ...]

    def to_pandas(self) -> pd.DataFrame:
        """One row a system and language; `kind` is `tested` or `predicted`, and a prediction has no verdict."""
        import pandas as pd

        rows = [row for system in self.systems for row in _rows(system)]
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        """For notebooks."""
        return str(self.to_pandas().to_html(index=False, float_format="{:.3f}".format))


def verdicts(
    table: ResultsTable,
    baseline: str = BASE_METHOD,
    *,
    margin: float = MARGIN,
    untested: Sequence[str] | Literal["all"] = (),
) -> Verdicts:
    """Verdicts for every system but the baseline; for the baseline too where it is alone.

    Args:
        table: of finished runs.
        baseline: the method or system to be above; the base model unless said.
        margin: above chance, see `MARGIN`.
        untested: codes of languages to predict; `all` means the table of languages.

    Raises:
        ConfigError: if the margin is no share, or other runs have the baseline and not these.
        OutputError: if there are no runs, or neither chance nor a baseline is known.
    """
    if not 0 <= margin < 1:
        raise ConfigError(f"margin {margin}: expected a share from 0 to 1, such as 0.05")
    if table.runs.empty:
        raise OutputError("no finished runs: nothing can be judged; give the folder of one")
    settings = read_settings(table)
    known = {name for one in settings for name in (*one.systems, *one.methods.values())}
    if baseline not in known and baseline != BASE_METHOD:
        raise ConfigError(f"baseline '{baseline}': no run has it, {nearest(baseline, known)}")
    wanted = [one.code for one in languages.all_languages()] if untested == "all" else list(untested)
    found: list[SystemVerdicts] = []
    notes = list(table.notes)
    for setting in settings:
        base = _base(setting, baseline)
        if base is None:
            notes.append(f"{setting.name}: no run of {baseline}, so verdicts are about chance alone")
        found += setting_verdicts(setting, base, margin, wanted)
    return Verdicts(tuple(found), tuple(notes))


def setting_verdicts(
    setting: Setting, base: str | None, margin: float = MARGIN, untested: Sequence[str] = ()
) -> list[SystemVerdicts]:
    """The verdicts of every system of a setting but the base model, each on the examples that both have; those of the base model, by chance,
    where it is alone.

    Args:
        base: one of its systems; None leaves it out.
        margin: see `MARGIN`.
        untested: codes of languages to predict.

    Raises:
        OutputError: if a system has no example or seed in common with the base model, or neither that nor chance is known.
    """
    systems = [system for system in setting.systems if system != base] or [str(base)]
    found = []
    for system in systems:
        against = None if system == base else base
        names = [name for name in setting.systems if name in (system, against)]
        narrow = replace(setting, systems={name: setting.systems[name] for name in names})
        found.append(_system(narrow, system, against, margin, untested))
    return found


def _base(setting: Setting, baseline: str) -> str | None:
    if baseline in setting.systems:
        return baseline
    named = [system for system, method in setting.methods.items() if method == baseline]
    return named[0] if len(named) == 1 else None


def chance_score(setting: Setting) -> float | None:
    """What the better of two blind answers scores on average over the setting's languages; None where the task is not known here.

    The most frequent label is counted over all languages together, because the most frequent one of ten texts says little.
    """
    from polyprefix.tasks import registry

    run = setting.runs.iloc[0]
    examples = setting.table.examples
    mine = examples.loc[examples["run_id"] == run.name, ["language", "references", "log_likelihoods"]]
    right = [str(references[0]) for references in mine["references"]]
    choices = {len(ll) for ll in mine["log_likelihoods"]}
    if choices == {0}:
        return 0.0  # nobody guesses what has to be written
    try:
        name = str(run["config"]["task"])
        known = (
            registry.get(name, str(run["config"].get("protocol", DEFAULT_PROTOCOL)))
            if name in registry.names()
            else None
        )
    except UserError:  # a plugin that is broken now
        known = None
    random = known.info.chance if known else (1 / choices.pop() if len(choices) == 1 else None)
    if random is None or len(set(right)) > 1 / max(random, NEGLIGIBLE) + 0.5:  # labels differ from example to example
        return random
    return max(random, max(map(right.count, set(right))) / len(right))


def _system(setting: Setting, system: str, base: str | None, margin: float, wanted: Sequence[str]) -> SystemVerdicts:
    chance = chance_score(setting)
    if chance is None and base is None:
        raise OutputError(
            f"{setting.name}, {system}: neither its chance level nor a base model is known; give its run with --base"
        )
    seeds = setting.seeds[system] & setting.seeds[base] if base else setting.seeds[system]
    if not seeds:
        raise OutputError(f"{setting.name}, {system}: no seed in common with {base}; run the same seeds")
    names = [system, *([base] if base else [])]
    answers = setting.answers(sorted(seeds), names)
    judged = judge(answers, chance, margin)
    scores = {one.language: one.score for one in judged}
    return SystemVerdicts(
        task=setting.title,
        model=setting.model,
        system=system,
        metric=setting.metric,
        base=base,
        chance=chance,
        margin=margin,
        languages=tuple(sorted(judged, key=lambda one: -one.score)),
        untested=predict_untested(scores, wanted, _properties(setting, system, base), setting.trained_languages)
        if wanted
        else (),
    )


def _properties(setting: Setting, system: str, base: str | None) -> dict[str, dict[str, float]]:
    """What runs know of languages beside the table of languages."""
    run = setting.runs.loc[setting.systems[system][0]]
    found = {"log fertility": {code: float(np.log(value)) for code, value in run["fertility"].items() if value > 0}}
    if base:
        of_base = setting.runs.loc[setting.systems[base][0]]
        metric = setting.metric
        found["base score"] = {code: one[metric].value for code, one in of_base["scores"].items() if metric in one}
    return found


def judge(answers: Answers, chance: float | None, margin: float = MARGIN) -> list[LanguageVerdict]:
    """The verdict of each language.

    Args:
        answers: of the system, and of the base model after it where there is one.
        chance: what blind answers score; None leaves chance out.
        margin: see `MARGIN`.
    """
    L, paired = len(answers.languages), len(answers.systems) > 1
    columns = [answers.values[0, :, column][:, there] for column, there in enumerate(answers.present)]  # [S, I] each
    variances = mean_language_variance(columns)
    differences = language_contrasts(answers, 1, [0]) if paired else {}
    above, unfit = np.zeros((2, L)), np.ones((2, L))
    for column in range(L):
        if chance is not None:
            values, variance = columns[column], variances[column]
            above[0, column] = 1 - _p_below(values, variance, chance, strict=True)
            unfit[0, column] = _p_below(values, variance, chance + margin)
        if paired:
            found = differences[0, column]
            above[1, column] = _one_sided(found, 1)
            unfit[1, column] = _one_sided(found, -1)
    both = int(chance is not None) + int(paired)
    p_above = adjust(above.max(axis=0).tolist(), "holm")
    p_unfit = adjust(np.minimum(1.0, both * unfit.min(axis=0)).tolist(), "holm")
    level = 1 - ALPHA / L
    judged = []
    for column, code in enumerate(answers.languages):
        score, n = float(answers.scores[0, column]), int(answers.counts[column])
        exact = len(answers.seeds) == 1 and answers.binary
        interval = (
            wilson(score, n, normal_quantile(level)) if exact else score_interval(score, variances[column], level)
        )
        verdict, reason = _word(p_above[column], p_unfit[column], unfit[:, column], chance is not None, paired)
        judged.append(
            LanguageVerdict(
                code, verdict, reason, score, n, interval, float(answers.scores[1, column]) if paired else None,
                differences.get((0, column)), p_above[column], p_unfit[column],
            )
        )  # fmt: skip
    return judged


def _p_below(values_SI: Floats, variance: Variance, bound: float, *, strict: bool = False) -> float:
    """The chance of a score as low as this or lower if the true one is `bound`; with `strict`, of a lower one.

    Exact (binomial) for right and wrong answers of one seed, else by the t of the score's interval.
    """
    from scipy.stats import binom, t

    bound = min(1.0, bound)
    if len(values_SI) == 1 and np.isin(values_SI, (0, 1)).all():
        return float(binom.cdf(round(values_SI.sum()) - int(strict), values_SI.shape[1], bound))
    score = float(values_SI.mean())
    if variance.total <= NEGLIGIBLE**2:
        return float(score > bound) if strict else float(score >= bound)
    return float(t.cdf((score - bound) / np.sqrt(variance.total), variance.degrees))


def _one_sided(found: Contrast, sign: int) -> float:
    """Of "not above" (`sign` 1) or "not below" (-1), from the two-sided p-value that counts."""
    return found.p / 2 if sign * found.value > 0 else 1 - found.p / 2


def _word(p_above: float, p_unfit: float, unfit: Floats, chance: bool, paired: bool) -> tuple[Verdict, str]:
    """The verdict and its reason."""
    names = " and ".join(name for name, there in (("the base model", paired), ("chance", chance)) if there)
    if p_above < ALPHA:
        return "clearly above", f"above {names}"
    if p_unfit < ALPHA:
        return "do not use", "below the base model" if unfit[1] < unfit[0] else "not above chance"
    return "not clear", f"not clearly above {names}"


def _rows(system: SystemVerdicts) -> list[dict[str, Any]]:
    where = {key: getattr(system, key) for key in ("task", "model", "system", "metric")}
    tested = [
        {**where, "language": one.language, "kind": "tested", "verdict": one.verdict, "reason": one.reason, "score": one.score,
         "ci_low": one.ci[0], "ci_high": one.ci[1], "n": one.n, "chance": system.chance, "base": one.base,
         "difference": one.difference.value if one.difference else None, "p_above": one.p_above, "p_unfit": one.p_unfit}
        for one in system.languages
    ]  # fmt: skip
    predicted = [
        {**where, "language": one.language, "kind": "predicted", "score": one.value, "ci_low": one.ci95[0], "ci_high": one.ci95[1],
         "chance": system.chance}
        for one in (system.untested if not isinstance(system.untested, str) else ())
    ]  # fmt: skip
    return [*tested, *predicted]
