"""The four task types in a task file: which keys each has, and how a row says what is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from polyprefix.data.cells import Real, Whole, cell_text, shown, written_list
from polyprefix.data.same_text import visible
from polyprefix.data.table import Row
from polyprefix.data.validation_errors import ValidationErrors
from polyprefix.errors import LanguageError, nearest
from polyprefix.languages import find
from polyprefix.scoring.answers import MEASURES, SPAN_METRICS
from polyprefix.scoring.normalise import squad
from polyprefix.scoring.numbers import last_number
from polyprefix.tasks import _task_types as task_types
from polyprefix.tasks._custom_definition import TASK_TYPES, Answer, Definition
from polyprefix.tasks._task_types import TaskType


def _texts(value: Any) -> Any:
    """A list as a mapping of each entry to itself; numbers and truth values as text."""
    if not isinstance(value, list | Mapping):
        raise ValueError("expected a list of texts, or a mapping of what the data says to texts")
    pairs = list(value.items()) if isinstance(value, Mapping) else [(item, item) for item in value]
    if any(cell_text(part) is None for pair in pairs for part in pair):
        raise ValueError("expected texts that differ and are not empty")
    texts = {str(cell_text(key)): cell_text(text) for key, text in pairs}
    if len(texts) != len(pairs):
        raise ValueError("expected texts that differ")
    return texts


def _language(value: str) -> str:
    if value in ("question", "any"):
        return value
    try:
        return find(value).code
    except LanguageError as error:
        raise ValueError(f"expected question, any, or a language ({error})") from None


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


MOST_NEW_TOKENS = 1_000_000
Texts = Annotated[dict[str, str], BeforeValidator(_texts), Field(min_length=2)]


def _distinct(value: dict[str, str] | None) -> dict[str, str] | None:
    if value is not None and (len(set(value.values())) != len(value) or not all(cell_text(v) for v in value.values())):
        raise ValueError("expected texts that differ and are not empty")
    return value


class Choice(Definition):
    """The answer is chosen."""

    metric: Literal["accuracy"] = "accuracy"
    """The main metric."""


class Classification(Choice):
    """The answer is one of a few labels, the same in every example."""

    labels: Texts
    """The labels as the model writes them: a list, or a mapping of what the data says to them."""

    _labels_differ = field_validator("labels")(_distinct)

    def shared_labels(self) -> tuple[str, ...]:
        """The labels, in the order of the file."""
        return tuple(self.labels.values())

    def answer(self, row: Row, inputs: Mapping[str, str], errors: ValidationErrors) -> Answer | None:
        """All labels, and the one that the row names."""
        key = _key(row, self.columns.answer, self.labels, errors)
        return None if key is None else (self.shared_labels(), (self.labels[key],))

    def scoring(self) -> TaskType:
        """Classification with these labels."""
        return task_types.Classification(self.shared_labels())


class MultipleChoice(Choice):
    """The answer is one of several options, which each row brings in columns of its own."""

    choices: Texts
    """The columns of the options: a list, or a mapping of what the column of the answer says to them."""
    labels: Texts | None = None
    """What the model answers for each option, such as A, B, C; without labels, it is asked for the option's own words."""

    _choices_differ = field_validator("choices", "labels")(_distinct)

    def shared_labels(self) -> tuple[str, ...]:
        """The labels in the order of the options, where there are labels."""
        return tuple(self.labels.values()) if self.labels else ()

    def option_columns(self) -> tuple[str, ...]:
        """The columns of the options, where there are no labels."""
        return () if self.labels else tuple(self.choices.values())

    def answer(self, row: Row, inputs: Mapping[str, str], errors: ValidationErrors) -> Answer | None:
        """The labels or the options, and the one that the row names."""
        key = _key(row, self.columns.answer, self.choices, errors)
        if key is None:
            return None
        choices = self.shared_labels() or tuple(inputs[c] for c in self.choices.values() if c in inputs)
        if len(set(choices)) != len(choices):
            twice = next(choice for choice in choices if choices.count(choice) > 1)
            errors.add(
                f"{row.where}, columns {', '.join(self.choices.values())}",
                f"{shown(twice)} twice",
                "options that differ",
            )
            return None
        if len(choices) < len(self.choices):  # an option is missing, which is reported already
            return None
        return choices, (choices[list(self.choices).index(key)],)

    def scoring(self) -> TaskType:
        """Multiple choice between so many options."""
        return task_types.MultipleChoice(len(self.choices))

    def contradictions(self) -> Iterator[tuple[tuple[str, ...], str, str]]:
        """Also labels for other options than there are, and labels for options that the model is not shown."""
        yield from super().contradictions()
        if not self.labels:
            return
        if len(self.labels) != len(self.choices):
            yield ("labels",), f"{len(self.labels)} labels", f"{len(self.choices)}, one for each of the choices"
        elif set(self.labels) != set(self.labels.values()) and list(self.labels) != list(self.choices):
            yield (
                ("labels",),
                f"labels for {', '.join(self.labels)}",
                f"them for {', '.join(self.choices)}, in this order",
            )
        hidden = [column for column in self.choices.values() if column not in self.asked()]
        if hidden:
            yield ("template",), f"no '{{{hidden[0]}}}'", "every option in it, for labels say nothing without them"


class Written(Definition):
    """The answer is written; one row may accept several."""

    metric: Literal["exact_match", "f1", "exact_match_language_aware", "f1_language_aware", "number"] = "exact_match"
    """The main metric; `number` compares the last number that is written with the last one of the answer."""
    stop: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_one_or_more)] = ("\n",)
    """A written answer ends before the first of these strings."""
    max_new_tokens: int = Field(default=64, ge=1, le=MOST_NEW_TOKENS)
    """And after at most so many tokens."""
    answer_language: Annotated[str, AfterValidator(_language)] = "any"
    """The language that answers have to be in: `question` for that of each question, a language, or `any`, which checks none."""
    answer_format: Literal["text", "list"] | None = None
    """What a text means that reads as a list, such as `["a", "b"]`: that text, or its items as accepted answers. It is refused where this
    does not say it."""

    def answer(self, row: Row, inputs: Mapping[str, str], errors: ValidationErrors) -> Answer | None:
        """No choices, and the accepted answers: a text, or a list of texts, the first of which is learned."""
        value, where = row.cells.get(self.columns.answer), f"{row.where}, column '{self.columns.answer}'"
        if isinstance(value, Mapping) and "text" in value:  # as SQuAD's files have it
            value = value["text"]
        if isinstance(value, str) and self.answer_format != "text" and (items := written_list(value)) is not None:
            if self.answer_format is None:
                expected = "one answer or a list of them: set 'answer_format: list' for its items, 'answer_format: text' for the text"
                errors.add(where, f"a text that reads as a list, {shown(value)}", expected)
                return None
            value = items
        texts = [cell_text(item) for item in (value if isinstance(value, list) else [value])]
        if not texts or None in texts:
            errors.add(where, shown(value), "a text, or a list of texts")
            return None
        answers = tuple(dict.fromkeys(text for text in texts if text is not None))
        reason = self._unfit(answers)
        if reason:
            errors.add(where, *reason)
            return None
        return (), answers

    def _unfit(self, answers: tuple[str, ...]) -> tuple[str, str] | None:
        """What was found and expected where an answer could never be given, or an empty one would be right."""
        for stop in self.stop:
            if stop in answers[0]:
                return f"{shown(answers[0])} with {stop!r} in it", "an answer without what ends it; set 'stop'"
        for answer in answers:
            if self.metric == "number" and last_number(answer) is None:
                return shown(answer), "a number in it, which the metric compares"
            if self.metric != "number" and not squad(answer):
                return shown(answer), "more than punctuation and articles, which the metric leaves out"
        return None

    def answers_in(self) -> str | None:
        """The language of answers, `question`, or None."""
        return None if self.answer_language == "any" else self.answer_language

    def scoring(self) -> TaskType:
        """Generation, with the main metric first and those of SQuAD v1.1 and MLQA after it."""
        names = dict.fromkeys((self.metric, *SPAN_METRICS))
        return task_types.Generation({name: MEASURES[name] for name in names}, self.stop, self.max_new_tokens)


class Span(Written):
    """The answer is written, in words of a context."""

    context: str = "context"
    """The column of the text that holds the answer, and that may be cut."""
    answer_language: Annotated[str, AfterValidator(_language)] = "question"
    """The language that answers have to be in; words of a context are in that of the question."""
    metric: Literal["f1", "exact_match", "f1_language_aware", "exact_match_language_aware"] = "f1"
    """The main metric; the other three are reported beside it."""
    max_new_tokens: int = Field(default=48, ge=1, le=MOST_NEW_TOKENS)
    """A written answer has at most so many tokens."""

    def answer(self, row: Row, inputs: Mapping[str, str], errors: ValidationErrors) -> Answer | None:
        """The accepted answers, each of which the context holds."""
        found = super().answer(row, inputs, errors)
        context = visible(inputs[self.context]) if self.context in inputs else None
        outside = [text for text in found[1] if context is not None and visible(text) not in context] if found else []
        if outside:
            where = f"{row.where}, column '{self.columns.answer}'"
            errors.add(where, shown(outside[0]), f"words of the column '{self.context}', letter by letter")
            return None
        return found


class Generation(Written):
    """The answer is written freely."""


DEFINITIONS: Mapping[str, type[Definition]] = dict(
    zip(TASK_TYPES, (Classification, MultipleChoice, Span, Generation), strict=True)
)


def _key(row: Row, column: str, known: Mapping[str, str], errors: ValidationErrors) -> str | None:
    value = row.cells.get(column)
    key = cell_text(value)
    if key not in known and isinstance(value, Whole | Real):  # 1.0 in the data is the label 1
        key = cell_text(float(value)) if isinstance(value, Real) else str(int(value))
    alike = {visible(name): name for name in known}  # one text may be written in several of Unicode's forms
    if key is not None and visible(key) in alike:
        return alike[visible(key)]
    close = nearest(key or "", known)
    errors.add(f"{row.where}, column '{column}'", shown(value), f"one of {len(known)} values, {close}")
    return None
