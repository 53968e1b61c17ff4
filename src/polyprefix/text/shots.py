"""Few-shot examples in front of a question: in English or in the language of the question, from published development data.

Training keeps to the first source language: where an adapter is trained with shots, its training prompts carry those of that language,
whatever the questions of the test carry. What the run is tested on is never a shot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from polyprefix.config import RunConfig
from polyprefix.data.hub import MissingDataError
from polyprefix.data.same_text import same_text
from polyprefix.data.select import training_sample
from polyprefix.errors import DataError, LanguageError
from polyprefix.languages import find, get
from polyprefix.names import DEFAULT_PROTOCOL
from polyprefix.tasks._rows import divided, dropped_note
from polyprefix.tasks.base import Source, Task
from polyprefix.types import Example, Prompt

TARGET = "target"
SEPARATOR = "\n\n"
FEW = 12
"""So many languages are named in a message; of more, their number."""


def choose_shot_languages(task: Task, languages: Sequence[str], config: RunConfig) -> dict[str, str]:
    """Test language -> the language of the shots in front of its questions; empty without shots.

    Raises:
        LanguageError: if nobody knows the language, or the task has no development data in it.
    """
    if not config.shots:
        return {}
    known = task.shot_languages()
    if config.shot_language == TARGET:
        chosen = {code: code for code in languages}
    else:
        chosen = dict.fromkeys(languages, find(config.shot_language, among={*task.languages(), *known}).code)
    missing = [code for code in dict.fromkeys(chosen.values()) if code not in known]
    if missing:
        has = (
            f"only in {_few(known)}; take shots from there, such as --shot-language {known[0]}"
            if known
            else "nor in others"
        )
        raise LanguageError(
            f"shot_language '{config.shot_language}': {task.info.name} has no development data in {_few(missing)}, {has}"
        )
    return chosen


def load_shots(task: Task, languages: Sequence[str], config: RunConfig, source: Source) -> dict[str, list[Example]]:
    """Language -> `config.shots` examples of its development data: the same ids in each where they are parallel; the seed decides.

    Raises:
        DataError: if there are fewer; see also the task.
    """
    shots = {}
    for language in languages:
        pool, dropped, rows = _untested(task, language, source)
        if dropped:
            source.note(dropped_note(f"{task.info.name} shots, {language}", dropped, rows, "are in the test set"))
        if len(pool) < config.shots:
            raise DataError(
                f"{config.shots} shots: the development data of {task.info.name} in {language} has {len(pool)}; "
                f"ask for at most {len(pool)}"
            )
        shots[language] = training_sample(sorted(pool, key=lambda example: example.id), config.shots, config.seed)
    return shots


def _untested(task: Task, language: str, source: Source) -> tuple[list[Example], list[Example], int]:
    """The development examples of a language whose id and text its test split does not have; those that it has; how many there are."""
    try:
        test = task.examples("test", language, source)
    except MissingDataError:  # then it is not tested either
        test = ()
    ids, texts = {example.id for example in test}, {_asked(example) for example in test}
    pool = task.shot_pool(language, source)
    return *divided(pool, lambda example: example.id in ids or _asked(example) in texts), len(pool)


def _asked(example: Example) -> tuple[str, ...]:
    return tuple(same_text(text) for text in example.inputs.values())


def shots_text(task: Task, shots: Sequence[Example]) -> str:
    """The few-shot examples as they stand in front of a prompt; empty without any."""
    return "".join(f"{solved.text}{solved.target}{SEPARATOR}" for solved in map(task.prompt, shots))


def with_shots(task: Task, shots: Sequence[Example], prompts: Sequence[Prompt]) -> list[Prompt]:
    """The prompts with the few-shot examples in front of each."""
    return with_shots_text(shots_text(task, shots), prompts)


def with_shots_text(text: str, prompts: Sequence[Prompt]) -> list[Prompt]:
    """The prompts with this text in front of each; what may be cut of them stays what it is."""
    return [
        replace(
            prompt,
            text=text + prompt.text,
            context=prompt.context and (prompt.context[0] + len(text), prompt.context[1] + len(text)),
        )
        for prompt in prompts
    ]


def shots_note(config: RunConfig, languages: Mapping[str, str]) -> str:
    """What the result says about its shots.

    Args:
        languages: test language -> the language of its shots.
    """
    target = config.shot_language == TARGET
    words = "in the language of the question" if target else f"in {get(next(iter(languages.values()))).name}"
    training = f"; training prompts carry {get(config.source_languages[0]).name} ones" if config.trains else ""
    others = (
        "" if config.protocol == DEFAULT_PROTOCOL else f"; not the ones that protocol {config.protocol} would choose"
    )
    return f"{config.shots} few-shot examples of the development data in front of every question, {words}{training}{others}."


def _few(codes: Sequence[str]) -> str:
    return ", ".join(codes) if len(codes) <= FEW else f"{len(codes)} languages"
