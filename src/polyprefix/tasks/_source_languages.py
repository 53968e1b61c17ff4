"""The languages of training: which a run asks for, by the codes of its task, and which of its test languages are zero-shot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from polyprefix.config import RunConfig
from polyprefix.errors import ConfigError, LanguageError
from polyprefix.languages import Once, find, find_each, get
from polyprefix.tasks.base import ENGLISH, Task

FEW = 16
"""So many languages are named in a message; of more, their number."""
ONE_SOURCE = {key: RunConfig.model_fields[key].default for key in ("source_sampling", "source_temperature")}
NO_TARGETS = {key: RunConfig.model_fields[key].default for key in ("target_languages", "target_size")}


def with_source_languages(config: RunConfig, task: Task) -> RunConfig:
    """The configuration with the codes of its source and target languages, asked after the method's defaults are filled in.

    What decides nothing is set aside: sampling of a single source, a temperature that is not asked for, and all of it where nothing is
    trained. The base model's run is so the same beside every source language, as long as it is tested in the same languages.

    Raises:
        ConfigError: if a language is both source and target, or there is no source language.
        LanguageError: if nobody knows a language, it comes twice, or the task has no training data in it.
    """
    if config.adapter:  # which may have learned another task
        sources, targets = (
            _codes(task, key, getattr(config, key), None) for key in ("source_languages", "target_languages")
        )
        return config.model_copy(update={"source_languages": sources, "target_languages": targets})
    if not config.trains:
        return _untrained(config, task)
    sources, targets = trained_languages(config, task)
    settings = {"source_languages": sources, "target_languages": targets}
    if len(sources) == 1:
        settings |= ONE_SOURCE
    elif config.source_sampling != "temperature":
        settings |= {"source_temperature": ONE_SOURCE["source_temperature"]}
    return config.model_copy(update=settings)


def trained_languages(config: RunConfig, task: Task) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The codes of the source languages, and of the target languages with a few training examples.

    Raises:
        ConfigError, LanguageError: as `with_source_languages`.
    """
    if not config.source_languages:
        raise ConfigError("source_languages: none; give at least one, such as en")
    if config.source_languages == (ENGLISH,) and not config.target_languages and ENGLISH in task.languages():
        return (ENGLISH,), ()  # a task file need not be read for it
    known = task.train_languages()
    sources = _codes(task, "source_languages", config.source_languages, known)
    targets = _codes(task, "target_languages", config.target_languages, known)
    if both := [code for code in targets if code in sources]:
        raise ConfigError(f"target_languages: {named(both)} is a source language too; leave it out of one of the two")
    return sources, targets


def languages_learned(config: RunConfig) -> dict[str, Any]:
    """What an adapter keeps of the languages that it learned from; nothing where that is English alone."""
    found = {"source_languages": list(config.source_languages), "target_languages": list(config.target_languages),
             "target_size": config.target_size}  # fmt: skip
    return {} if found == {**found, "source_languages": [ENGLISH], "target_languages": []} else found


def languages_of_adapter(learned: Mapping[str, Any] | None) -> dict[str, Any]:
    """The settings of a run that `languages_learned` kept."""
    keys = ("source_languages", "target_languages", "target_size")
    return {key: learned[key] for key in keys if key in learned} if learned else {}


def named(codes: Iterable[str]) -> str:
    """Languages as a person reads them, with their codes; of many, their number.

    >>> named(["eng_Latn", "swh_Latn"])
    'English (eng_Latn), Swahili (swh_Latn)'
    """
    codes = list(codes)
    return ", ".join(f"{get(code).name} ({code})" for code in codes) if len(codes) <= FEW else f"{len(codes)} languages"


def _untrained(config: RunConfig, task: Task) -> RunConfig:
    known = task.languages()
    settings = {**ONE_SOURCE, **NO_TARGETS}
    sources = [code for code in _codes(task, "source_languages", config.source_languages, None) if code in known]
    if sources == [ENGLISH]:
        return config.model_copy(update={**settings, "source_languages": (ENGLISH,)})
    if config.eval_ids == "disjoint":  # source languages have more test examples than others
        return config.model_copy(update={**settings, "source_languages": tuple(sources)})
    if config.languages != "all":
        chosen = find_each(config.languages, "languages", among=known)
        settings["languages"] = tuple(dict.fromkeys([*sources, *chosen]))
    tested = known if config.languages == "all" else settings["languages"]
    return config.model_copy(update={**settings, "source_languages": (ENGLISH,) if ENGLISH in tested else ()})


def _codes(task: Task, key: str, wanted: Sequence[str], known: Sequence[str] | None) -> tuple[str, ...]:
    """The codes of languages as people write them.

    Args:
        key: of the settings, for messages.
        known: those that there may be; None means every language.
    """
    once = Once()
    for text in wanted:
        try:
            code = find(text, among=known).code
        except LanguageError:
            code = find(text, among=task.languages() if text in task.languages() else None).code  # unknown to everybody
            has = f"only in {named(known or ())}" if known else "in no language"
            raise LanguageError(
                f"{key} '{text}': {task.info.name} has no training data in {get(code).name} ({code}), {has}; "
                "choose with --source-languages"
            ) from None
        if repeated := once.take(code, text, key):
            raise LanguageError(f"{key}: {repeated}; give it once")
    return once.codes
