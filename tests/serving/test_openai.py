"""Law: the official client of OpenAI works with adapters that write their answers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.serving.conftest import Service
from tests.serving.test_service import call

from polyprefix.config import PredictConfig, RuntimeConfig
from polyprefix.prediction import Predictor
from polyprefix.serving.adapters import Served

openai = pytest.importorskip("openai", reason="no client of OpenAI here: pip install openai")
QUESTION = "What is 2 + 3?"


@pytest.fixture
def client(service: Service) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0)


def test_models(client: openai.OpenAI) -> None:
    assert "writer" in [model.id for model in client.models.list()]
    assert client.models.retrieve("writer").owned_by == "polyprefix"


def test_a_chat_is_the_answer_of_the_adapter(client: openai.OpenAI, folders: dict[str, Path]) -> None:
    ask = Predictor(folders["writer"], settings=PredictConfig(runtime=RuntimeConfig(dtype="float32")))
    [wanted] = ask([QUESTION])
    messages = [{"role": "user", "content": QUESTION}]
    found = client.chat.completions.create(model="writer", messages=messages)
    assert found.choices[0].message.content == wanted["prediction"] and found.usage.prompt_tokens > 0
    events = list(client.chat.completions.create(model="writer", messages=messages, stream=True))
    assert "".join(event.choices[0].delta.content or "" for event in events) == wanted["prediction"]
    assert events[-1].choices[0].finish_reason == found.choices[0].finish_reason in ("stop", "length")


def test_completions(client: openai.OpenAI) -> None:
    found = client.completions.create(model="writer", prompt=["one two", "three"], max_tokens=5, temperature=0)
    assert [choice.index for choice in found.choices] == [0, 1] and found.usage.completion_tokens > 0
    assert found.choices[0].finish_reason == "length"
    alone = client.completions.create(model="writer", prompt="three", max_tokens=5)
    assert alone.choices[0].text == found.choices[1].text
    streamed = client.completions.create(model="writer", prompt="three", max_tokens=5, stream=True)
    assert "".join(event.choices[0].text for event in streamed) == alone.choices[0].text


@pytest.mark.parametrize("stop", [None, "a", ["e", "th", "\n"]])
def test_a_stream_is_the_answer_piece_by_piece(client: openai.OpenAI, stop: str | list[str] | None) -> None:
    asked: dict[str, Any] = {
        "model": "writer",
        "prompt": ["one two", "three", "\u0e23\u0e32\u0e04\u0e32"],
        "max_tokens": 24,
    }
    asked |= {"stop": stop} if stop else {}
    whole = client.completions.create(**asked)
    pieces: dict[int, list[str]] = {}
    reasons = {}
    for event in client.completions.create(stream=True, **asked):
        [choice] = event.choices
        pieces.setdefault(choice.index, []).append(choice.text)
        reasons[choice.index] = choice.finish_reason or reasons.get(choice.index)
    assert {n: "".join(found) for n, found in pieces.items()} == {choice.index: choice.text for choice in whole.choices}
    assert reasons == {choice.index: choice.finish_reason for choice in whole.choices}
    assert not stop or not any(one in "".join(found) for found in pieces.values() for one in stop)
    assert stop or max(map(len, pieces.values())) > 5, "token by token"


def test_the_first_piece_comes_before_the_last_is_written(client: openai.OpenAI, service: Service) -> None:
    """And an answer whose reader is gone is written no further."""
    begun = time.monotonic()
    stream = client.completions.create(model="writer", prompt="one two", max_tokens=400, stream=True)
    next(iter(stream))
    first = time.monotonic() - begun
    stream.close()
    while service.engine.line.busy:
        time.sleep(0.005)
    left = time.monotonic() - begun
    begun = time.monotonic()
    client.completions.create(model="writer", prompt="one two", max_tokens=400)
    whole = time.monotonic() - begun
    assert first < whole / 4 and left < whole / 2, (first, left, whole)


def test_a_stream_that_cannot_begin_has_a_status(client: openai.OpenAI, served: list[Served]) -> None:
    service = Service(served, request_seconds=1e-6)
    late = openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0)
    with pytest.raises(openai.InternalServerError, match="too long"):
        late.completions.create(model="writer", prompt="one", stream=True)
    service.close()
    service = Service(served, request_seconds=0.4, new_tokens=5000)
    late = openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0)
    with pytest.raises(openai.APIError, match="too long"):
        list(late.completions.create(model="writer", prompt="one", max_tokens=5000, stream=True))
    service.close()


def test_what_is_refused(client: openai.OpenAI, service: Service) -> None:
    asked = {"messages": [{"role": "user", "content": QUESTION}]}
    with pytest.raises(openai.NotFoundError, match="no such adapter"):
        client.chat.completions.create(model="nobody", **asked)
    with pytest.raises(openai.UnprocessableEntityError, match="/v1/predict"):
        client.chat.completions.create(model="run", **asked)
    with pytest.raises(openai.UnprocessableEntityError, match="greedy"):
        client.chat.completions.create(model="writer", temperature=0.5, **asked)
    with pytest.raises(openai.UnprocessableEntityError, match="the user"):
        client.chat.completions.create(model="writer", messages=[{"role": "assistant", "content": "x"}])
    for body in ({"model": "writer", "prompt": ""}, {"model": "writer", "prompt": "x", "n": 2}, {"model": "writer"}):
        assert call(f"{service.url}/v1/completions", body)[0] == 422
