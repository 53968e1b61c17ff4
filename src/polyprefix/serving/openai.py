"""OpenAI's completions for adapters that write their answers: `model` is the adapter, decoding is greedy.

/v1/chat/completions   the last message of the user is the input of the task, in the prompt that the adapter was trained with
/v1/completions        the prompt as it stands, without the task's words around it

Settings that would change greedy decoding are refused where they are set, and not passed over.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from polyprefix.config import ENGLISH
from polyprefix.errors import ConfigError, DataError
from polyprefix.prediction.rows import examples_of
from polyprefix.serving.adapters import Served
from polyprefix.serving.asking import Desk
from polyprefix.serving.engine import said
from polyprefix.serving.job import ClosedError, LateError, Written
from polyprefix.serving.schemas import Asked
from polyprefix.text.tokens import TokenizedPrompt, encode
from polyprefix.types import Prompt

LOG = logging.getLogger("polyprefix.serving")
DONE = "data: [DONE]\n\n"
Piece = tuple[int, str, Written | None]
"""The number of an answer, what is new of it, and with its end the whole of it."""


class Decoding(Asked):
    """What both endpoints take. Keys that other servers know are allowed where they ask for what is done anyway."""

    model_config = ConfigDict(extra="allow")

    model: str
    stream: bool = False
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: str | list[str] | None = None
    n: Literal[1] = 1
    temperature: Annotated[float, Field(ge=0)] | None = None
    """0 or 1, which is the default of clients: decoding is greedy in any case."""


class Message(BaseModel):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[dict[str, Any]]

    @property
    def text(self) -> str:
        """Its text; parts of other kinds are refused."""
        if isinstance(self.content, str):
            return self.content
        if any(part.get("type") != "text" or not isinstance(part.get("text"), str) for part in self.content):
            raise DataError("messages: found content that is no text, expected text")
        return "".join(str(part["text"]) for part in self.content)


class ChatRequest(Decoding):
    """A conversation; its last message is asked."""

    messages: Annotated[list[Message], Field(min_length=1)]


class CompletionRequest(Decoding):
    """Prompts to continue."""

    prompt: (
        Annotated[str, Field(min_length=1)] | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
    )


def add_routes(app: FastAPI, desk: Desk) -> None:
    """The two endpoints."""

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(request: ChatRequest) -> Any:
        """Ask an adapter that writes its answers."""
        one = _writer(desk, request)
        items = await asyncio.to_thread(_chat_prompts, desk, one, request)
        return await _reply(desk, one, request, items, chat=True)

    @app.post("/v1/completions", response_model=None)
    async def completions(request: CompletionRequest) -> Any:
        """Continue prompts with an adapter that writes its answers."""
        one = _writer(desk, request)
        items = await asyncio.to_thread(_plain_prompts, desk, one, request)
        return await _reply(desk, one, request, items, chat=False)


def _writer(desk: Desk, request: Decoding) -> Served:
    one = desk.adapter(request.model)
    if not one.generates:
        raise ConfigError(f"model '{one.name}': its answers are chosen, not written; ask /v1/predict")
    if request.temperature not in (None, 0, 1):
        raise ConfigError(f"temperature {request.temperature}: decoding is greedy; leave it out")
    return one


def _limited(desk: Desk, request: Decoding, prompt: Prompt) -> Prompt:
    """The prompt with the end that the request asks for."""
    new = request.max_completion_tokens or request.max_tokens or prompt.max_new_tokens
    stop = (
        prompt.stop
        if request.stop is None
        else (request.stop,)
        if isinstance(request.stop, str)
        else tuple(request.stop)
    )
    return replace(prompt, max_new_tokens=min(new, desk.limits.new_tokens), stop=tuple(filter(None, stop)))


def _chat_prompts(desk: Desk, one: Served, request: ChatRequest) -> list[TokenizedPrompt]:
    last = request.messages[-1]
    if last.role != "user":
        raise DataError(f"messages: the last one is of the {last.role}, expected the user")
    if len(one.inputs) != 1:
        names = ", ".join(one.inputs)
        raise DataError(f"messages: the task of '{one.name}' has {len(one.inputs)} inputs ({names}); ask /v1/predict")
    rows = desk.rows(one, [last.text])
    encoded = desk.encode(one, examples_of(rows, one.predictor.task, ENGLISH))
    return [replace(item, prompt=_limited(desk, request, item.prompt)) for item in encoded]


def _plain_prompts(desk: Desk, one: Served, request: CompletionRequest) -> list[TokenizedPrompt]:
    texts = [request.prompt] if isinstance(request.prompt, str) else request.prompt
    most = desk.limits.text_characters
    if len(texts) > desk.limits.inputs or any(len(text) > most for text in texts):
        raise DataError(
            f"prompt: at most {desk.limits.inputs} prompts of {most:,} characters are taken; send several requests"
        )
    prompts = [_limited(desk, request, Prompt(f"prompt {n}", ENGLISH, text, " ?")) for n, text in enumerate(texts, 1)]
    base = one.model.base
    with desk.tokenizing:
        return encode(prompts, base.tokenizer, base.max_length, vocabulary=base.vocabulary)


async def _reply(desk: Desk, one: Served, request: Decoding, items: Sequence[TokenizedPrompt], *, chat: bool) -> Any:
    head = {"id": f"cmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": one.name}
    if request.stream:
        pieces = desk.stream(one, items)
        first = await anext(pieces)  # what cannot be answered at all has a status of its own
        return StreamingResponse(_events(head, first, pieces, chat=chat), media_type="text/event-stream")
    answers = [answer for answer in await desk.answers(one, items) if isinstance(answer, Written)]
    with desk.tokenizing:
        tokenizer = one.model.base.tokenizer
        written = sum(len(tokenizer(answer.text, add_special_tokens=False)["input_ids"]) for answer in answers)
    read = sum(len(item.ids) for item in items)
    usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    kind = "chat.completion" if chat else "text_completion"
    choices = [
        _choice(n, answer.text, chat=chat, part="message", finish=_reason(answer)) for n, answer in enumerate(answers)
    ]
    return {**head, "object": kind, "choices": choices, "usage": usage}


def _choice(index: int, text: str, *, chat: bool, part: str, finish: str | None) -> dict[str, Any]:
    content: dict[str, Any] = {part: {"role": "assistant", "content": text}} if chat else {"text": text}
    return {"index": index, **content, "logprobs": None, "finish_reason": finish}


def _reason(answer: Written) -> str:
    """Why an answer ends, in OpenAI's words."""
    return "length" if answer.too_long else "stop"


async def _events(head: dict[str, Any], first: Piece, rest: AsyncGenerator[Piece], *, chat: bool) -> AsyncIterator[str]:
    """Pieces of answers as server-sent events; an error after the first of them is the last event."""
    kind = "chat.completion.chunk" if chat else "text_completion"

    def event(index: int, text: str, answer: Written | None) -> str:
        choice = _choice(index, text, chat=chat, part="delta", finish=_reason(answer) if answer else None)
        return _event({**head, "object": kind, "choices": [choice]})

    yield event(*first)
    try:
        async with aclosing(rest):
            async for piece in rest:
                yield event(*piece)
    except Exception as error:
        if not isinstance(error, LateError | ClosedError):
            LOG.error("a stream failed: %s", type(error).__name__)
        message = str(error) if isinstance(error, LateError | ClosedError) else said(error)
        yield _event(
            {
                "error": {
                    "message": message,
                    "type": "server_error",
                    "code": 504 if isinstance(error, LateError) else 500,
                }
            }
        )
        return
    yield DONE


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"
