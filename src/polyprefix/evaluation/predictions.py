"""Evaluation: predictions of an adapted model in every language of a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Protocol

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.data.select import evaluation_subset
from polyprefix.engine.cost import Stopwatch, peak_memory_bytes
from polyprefix.engine.flop_counter import Work
from polyprefix.engine.processes import processes
from polyprefix.evaluation.generation import generate_until
from polyprefix.evaluation.loglikelihood import loglikelihood
from polyprefix.progress import Reporter
from polyprefix.scoring.stopping import StoppingRule
from polyprefix.text.tokens import TokenizedPrompt
from polyprefix.types import Example, Prediction, Score

Figures = Mapping[str, float]
"""`seconds`, `memory` (bytes at the peak until then), the figures of `Work`, and `cut` where answers were generated."""


class Kept(Protocol):
    """Where the answers of finished languages outlive an interruption."""

    def get(self, language: str, examples: Sequence[Example]) -> tuple[list[Prediction], Figures] | None:
        """The answers to exactly these examples, or to those of them that were asked, and what they took, if they are there."""

    def put(self, language: str, predictions: Sequence[Prediction], figures: Figures) -> None:
        """Keep them."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What evaluation made."""

    predictions: dict[str, list[Prediction]]
    """Language -> one prediction per example that was asked, in the order of the examples."""
    seconds: float
    """That they took, before an interruption too."""
    memory: int
    """Bytes at the peak, before an interruption too."""
    work: Work
    cut: Mapping[str, int]
    """Language -> number of generated answers that ended because they were too long; without languages whose answers are chosen."""
    asked: Mapping[str, Sequence[Example]]
    """Language -> the examples that were asked: all, unless a stopping rule said otherwise."""


def predict(
    model: AdaptedModel,
    test: Mapping[str, Sequence[Example]],
    encoded: Mapping[str, Sequence[TokenizedPrompt]],
    token_budget: int | None,
    reporter: Reporter,
    title: str,
    kept: Kept | None = None,
    score: Callable[[Sequence[Prediction]], Mapping[str, Score]] | None = None,
    rule: StoppingRule | None = None,
) -> Answers:
    """Answer every example of every language that is not among the kept ones; with a stopping rule, as many as it asks for.

    One progress bar over all languages. With `score`, it shows the main metric of the last finished language, as the result
    will have it.

    Several processes share the languages; where layers are sharded they must work together, and all answer everything.
    """
    group, found, last = processes(), dict[str, tuple[list[Prediction], Figures]](), ""
    if rule and (warning := rule.warning({code: len(rows) for code, rows in test.items()})):
        reporter.say(warning)
    with reporter.phase(title, sum(map(len, encoded.values()))) as bar:
        for number, (language, items) in enumerate(encoded.items()):
            if not group.sharded and number % group.count != group.rank:
                continue
            advance = partial(bar.advance, note=last + language)
            earlier = kept.get(language, test[language]) if kept else None
            earlier = group.agree(earlier) if group.sharded else earlier
            if earlier:
                advance(len(items))
            found[language] = earlier or _answer(model, test[language], items, token_budget, advance, rule)
            if score:
                last = f"{language} {_main_figure(score(found[language][0]))}, "
            if kept and not earlier and (group.main or not group.sharded):
                kept.put(language, *found[language])
    everything = {language: answers for part in group.gather(found) for language, answers in part.items()}
    predictions = {language: everything[language][0] for language in encoded}
    figures = [taken for _, taken in everything.values()]
    memory = int(max(taken["memory"] for taken in figures))
    total = {key: sum(taken[key] for taken in figures) for key in figures[0] if key not in ("memory", "cut", "asked")}
    cut = {code: int(everything[code][1]["cut"]) for code in encoded if "cut" in everything[code][1]}
    asked = {
        code: evaluation_subset(rows, int(everything[code][1].get("asked", len(rows)))) for code, rows in test.items()
    }
    return Answers(predictions, total.pop("seconds"), memory, Work(**total), cut, asked)  # type: ignore[arg-type]


def _main_figure(scores: Mapping[str, Score]) -> str:
    return f"{100 * next(iter(scores.values())).value:.1f}%"


def _answer(
    model: AdaptedModel,
    examples: Sequence[Example],
    items: Sequence[TokenizedPrompt],
    budget: int | None,
    advance: Callable[[int], None],
    rule: StoppingRule | None,
) -> tuple[list[Prediction], Figures]:
    """The answers in one language, and what they took."""
    work, more = Work(), dict[str, float]()

    def ask(places: Sequence[int]) -> list[Prediction]:
        rows, encoded = [examples[place] for place in places], [items[place] for place in places]
        if all(item.choices for item in items):
            ranked = loglikelihood(model, encoded, budget, advance, work)
            return [_prediction(e, e.choices[r.best], r.log_likelihoods) for e, r in zip(rows, ranked, strict=True)]
        cut: set[int] = set()
        written = generate_until(model, encoded, budget, advance, work, cut)
        more["cut"] = more.get("cut", 0) + len(cut)
        return [_prediction(example, answer, ()) for example, answer in zip(rows, written, strict=True)]

    with Stopwatch() as clock:
        if rule is None:
            predictions = ask(range(len(items)))
        else:
            predictions = rule.ask(ask, examples)
            more["asked"] = len(predictions)
            advance(len(items) - len(predictions))
    return predictions, {"seconds": clock.seconds, "memory": peak_memory_bytes(model.device), **asdict(work), **more}


def _prediction(example: Example, predicted: str, log_likelihoods: tuple[float, ...]) -> Prediction:
    text = " · ".join(example.inputs.values())
    return Prediction(example.id, example.language, example.references, predicted, log_likelihoods, text)
