"""One request on its way: checked, tokenised, put in line, and its answers put together."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncGenerator, Sequence

from polyprefix.config import ENGLISH, ServeLimits
from polyprefix.data.table import Row
from polyprefix.errors import ConfigError, DataError, UserError, nearest
from polyprefix.prediction.predictor import language_code
from polyprefix.prediction.rows import (
    CALIBRATION,
    CUT,
    PREDICTION,
    PROBABILITIES,
    examples_of,
    read_questions,
    shown_answer,
)
from polyprefix.serving.adapters import Served
from polyprefix.serving.engine import Engine
from polyprefix.serving.job import Answer, LateError, Written
from polyprefix.serving.measured import Spoken, spoken
from polyprefix.serving.schemas import LanguageOfInput, MeasuredInLanguage, PredictAnswer, PredictRequest
from polyprefix.text.tokens import TokenizedPrompt
from polyprefix.types import Example, Prediction

AT_ONCE = 2_000
"""Characters of a request that are read in the event loop, in about two milliseconds; a thread would take the interpreter from the engine
for longer than that."""


class UnknownAdapterError(UserError):
    """A name that no adapter has."""


class Desk:
    """Takes requests for all adapters."""

    def __init__(self, served: Sequence[Served], engine: Engine, limits: ServeLimits) -> None:
        self.served, self.engine, self.limits = served, engine, limits
        self._places = {one.name: place for place, one in enumerate(served)}
        self.tokenizing = threading.Lock()  # a fast tokenizer serves one thread at a time

    def adapter(self, name: str) -> Served:
        """An adapter by its name.

        Raises:
            UnknownAdapterError: if there is none.
        """
        if name not in self._places:
            raise UnknownAdapterError(f"adapter '{name}': no such adapter, {nearest(name, self._places)}")
        return self.served[self._places[name]]

    async def predict(self, request: PredictRequest) -> list[PredictAnswer]:
        """Answers to the inputs of a request.

        Raises:
            UserError: if the adapter, an input, the language or the calibration is none.
            QueueFullError, ClosedError, LateError: if it cannot be answered now.
        """
        one = self.adapter(request.adapter)
        if sum(len(str(given)) for given in request.inputs) <= AT_ONCE:
            examples, languages, encoded = self._prepared(one, request)
        else:
            examples, languages, encoded = await asyncio.to_thread(self._prepared, one, request)
        answers = await self.answers(one, encoded)
        return self._shown(one, request, examples, languages, encoded, answers)

    async def answers(self, one: Served, encoded: Sequence[TokenizedPrompt]) -> list[Answer]:
        """The engine's answers; if nobody waits for them any more, they are not computed.

        Raises:
            QueueFullError, ClosedError, LateError: if they cannot be computed now.
        """
        seconds = self.limits.request_seconds
        future = self.engine.submit(self._places[one.name], encoded, seconds)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), seconds)
        except TimeoutError:
            raise LateError("the request waited too long") from None
        finally:
            future.cancel()

    async def stream(
        self, one: Served, encoded: Sequence[TokenizedPrompt]
    ) -> AsyncGenerator[tuple[int, str, Written | None]]:
        """Written answers piece by piece: the number of the prompt, what is new, and the whole answer with its last piece.

        The pieces of an answer joined are the answer. An answer whose reader is gone ends with the next token.

        Raises:
            QueueFullError, ClosedError, LateError: if they cannot be computed now.
        """
        loop, deadline = asyncio.get_running_loop(), time.monotonic() + self.limits.request_seconds
        told: asyncio.Queue[tuple[int, str] | None] = asyncio.Queue()
        sent, wanted = [""] * len(encoded), True

        def watch(n: int, text: str) -> bool:
            if wanted:
                loop.call_soon_threadsafe(told.put_nowait, (n, text))
            return wanted

        future = self.engine.submit(self._places[one.name], encoded, self.limits.request_seconds, watch)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(told.put_nowait, None) if wanted else None)
        try:
            while (news := await asyncio.wait_for(told.get(), max(0, deadline - time.monotonic()))) is not None:
                n, text = news
                if len(text) > len(sent[n]):
                    yield n, text[len(sent[n]) :], None
                    sent[n] = text
            for n, answer in enumerate(future.result()):
                assert isinstance(answer, Written)
                yield n, answer.text[len(sent[n]) :], answer
        except TimeoutError:
            raise LateError("the request waited too long") from None
        finally:
            wanted = False
            future.cancel()

    def encode(self, one: Served, examples: Sequence[Example]) -> list[TokenizedPrompt]:
        """Prompts as tokens.

        Raises:
            DataError: if one is too long.
        """
        with self.tokenizing:
            return one.predictor.encode(examples)

    def rows(self, one: Served, inputs: Sequence[object]) -> list[Row]:
        """The inputs of a request.

        Raises:
            DataError: if there are too many, or one is too long or lacks a part.
        """
        if len(inputs) > self.limits.inputs:
            raise DataError(f"{len(inputs)} inputs, at most {self.limits.inputs} are taken; send several requests")
        rows = read_questions(inputs, one.predictor.task)  # type: ignore[arg-type]
        for row in rows:
            for name, text in row.cells.items():
                if len(text) > self.limits.text_characters:
                    most = self.limits.text_characters
                    raise DataError(
                        f"{row.where}, '{name}': {len(text):,} characters, at most {most:,} are taken; shorten it"
                    )
        return rows

    def _prepared(
        self, one: Served, request: PredictRequest
    ) -> tuple[list[Example], list[Spoken], list[TokenizedPrompt]]:
        rows = self.rows(one, request.inputs)
        texts = ["\n".join(str(text) for text in row.cells.values()) for row in rows]
        languages = [spoken(text, request.language, one.measured) for text in texts]
        task = one.predictor.task
        examples = [
            examples_of([row], task, language_code(task, language.code) if language.code else ENGLISH)[0]
            for row, language in zip(rows, languages, strict=True)
        ]
        if request.calibration == "prior" and one.prior(ENGLISH) is None:
            raise ConfigError(f"calibration 'prior': the run of '{one.name}' kept no prior; leave calibration out")
        return examples, languages, self.encode(one, examples)

    def _shown(
        self,
        one: Served,
        request: PredictRequest,
        examples: Sequence[Example],
        languages: Sequence[Spoken],
        encoded: Sequence[TokenizedPrompt],
        answers: Sequence[Answer],
    ) -> list[PredictAnswer]:
        found = []
        for example, language, item, answer in zip(examples, languages, encoded, answers, strict=True):
            prediction = _prediction(example, answer)
            prior = None if request.calibration == "none" else one.prior(language.code or ENGLISH)
            if prior is not None:
                [prediction] = prior.applied([example], [prediction])
            cells = shown_answer(example, prediction, prior.name if prior else None, item.cut)
            found.append(
                PredictAnswer(
                    prediction=cells[PREDICTION],
                    probabilities=cells.get(PROBABILITIES),
                    calibration=cells.get(CALIBRATION),
                    context_cut=cells.get(CUT, False),
                    language=LanguageOfInput.of(language),
                    measured=MeasuredInLanguage.of(one.measured, language.code),
                )
            )
        return found


def _prediction(example: Example, answer: Answer) -> Prediction:
    if isinstance(answer, Written):
        return Prediction(example.id, example.language, example.references, answer.text)
    best = max(range(len(answer)), key=answer.__getitem__)
    assert all(map(math.isfinite, answer))  # the engine refuses others
    return Prediction(example.id, example.language, example.references, example.choices[best], answer)
