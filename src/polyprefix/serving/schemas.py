"""What the service is asked and what it answers, as OpenAPI shows it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from polyprefix.serving.measured import Measured, Spoken

Text = Annotated[str, Field(min_length=1)]


class Asked(BaseModel):
    """A request: all of its text is text. JSON can write half of a character (`\\ud800`), which no tokenizer and no answer can hold."""

    @model_validator(mode="before")
    @classmethod
    def _whole_characters(cls, body: Any) -> Any:
        waiting = [body]
        while waiting:
            found = waiting.pop()
            if isinstance(found, dict):
                waiting += [*found, *found.values()]
            elif isinstance(found, list):
                waiting += found
            elif isinstance(found, str) and not found.isascii() and any("\ud800" <= c <= "\udfff" for c in found):
                raise ValueError("holds half of a character (a lone surrogate)")
        return body


class Strict(Asked):
    """A request: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid")


class PredictRequest(Strict):
    """Questions to an adapter."""

    adapter: str
    """Its name, as `/v1/models` has it."""
    inputs: Annotated[list[Text | dict[str, Text]], Field(min_length=1)]
    """Texts, where the task has a single input; else objects with the task's inputs by name."""
    language: str | None = None
    """Of all inputs, as people write it; by default each input's is recognised."""
    calibration: Literal["auto", "none", "prior"] = "auto"
    """`prior` divides the run's prior of the language out of the probabilities; `auto` does so where the run kept one."""


class LanguageOfInput(BaseModel):
    """The language of an input."""

    code: str | None
    """Our code (ISO 639-3 and ISO 15924); null where none was recognised."""
    name: str | None
    recognised: bool
    """Whether it was recognised from the text; else it was given."""
    probability: float | None
    """Of the recogniser; null where the language was given. Of a few words it says little."""

    @classmethod
    def of(cls, spoken: Spoken) -> LanguageOfInput:
        """As it is answered."""
        return cls(code=spoken.code, name=spoken.name, recognised=spoken.recognised, probability=spoken.probability)


class MeasuredInLanguage(BaseModel):
    """What was measured in the language of an input. Where nothing was, there is no figure."""

    status: Literal["tested", "never tested", "language not recognised"]
    metric: str | None = None
    value: float | None = None
    n: int | None = None
    """Test examples."""
    ci95: tuple[float, float] | None = None
    chance: float | None = None
    """What random guesses score."""
    training: str | None = None
    """`source` or `few-shot` where training saw the language, else `zero-shot`; `untrained` of a base model."""

    @classmethod
    def of(cls, measured: Measured, code: str | None) -> MeasuredInLanguage:
        """In a language, our code."""
        if code is None:
            return cls(status="language not recognised")
        training = measured.trained.status(code) if measured.trained else None
        if (score := measured.scores.get(code)) is None:
            return cls(status="never tested", training=training)
        return cls(
            status="tested", metric=measured.metric, value=score.value, n=score.n, ci95=score.ci95, chance=measured.chance,
            training=training,
        )  # fmt: skip


class PredictAnswer(BaseModel):
    """The answer to one input."""

    prediction: str
    probabilities: dict[str, float] | None
    """Of each choice among all choices; null where answers are written."""
    calibration: str | None
    """What was divided out of the probabilities; null where they are the model's own."""
    context_cut: bool
    """Whether a context was too long for the model and its end was left out."""
    language: LanguageOfInput
    measured: MeasuredInLanguage


class PredictResponse(BaseModel):
    """Answers in the order of the inputs."""

    adapter: str
    answers: list[PredictAnswer]


class Sentence(BaseModel):
    """A test sentence of the task, to try."""

    language: str
    name: str
    text: str


class AdapterCard(BaseModel):
    """An adapter, in the form of OpenAI's list of models with more keys."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "polyprefix"
    task: str
    title: str
    inputs: tuple[str, ...]
    labels: tuple[str, ...]
    """Empty where answers are written, or the choices come with each question."""
    generates: bool
    """Whether it answers `/v1/completions` and `/v1/chat/completions`."""
    method: str
    base_model: str
    metric: str
    languages: dict[str, str]
    """Tested languages: our code -> name."""
    examples: list[Sentence]
    """One a tested language, of some; none where a question has several inputs, or the run keeps no texts."""


class AdapterList(BaseModel):
    """All adapters."""

    object: Literal["list"] = "list"
    data: list[AdapterCard]


class Health(BaseModel):
    """Whether the service answers."""

    status: Literal["ok"] = "ok"
    adapters: int
    waiting: int
    """Inputs in the queue."""


class Problem(BaseModel):
    """Every answer that is none, in OpenAI's form."""

    class Error(BaseModel):
        """What is wrong."""

        message: str
        type: str
        code: int

    error: Error
