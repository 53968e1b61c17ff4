"""The application: routes, errors, and the life of the engine. `build` makes it; uvicorn, or any other ASGI server, runs it."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from polyprefix.config import ServeConfig
from polyprefix.errors import UserError
from polyprefix.languages import get
from polyprefix.serving import openai, page
from polyprefix.serving.adapters import Served
from polyprefix.serving.asking import Desk, UnknownAdapterError
from polyprefix.serving.engine import Engine, said
from polyprefix.serving.guard import App, Guard, problem
from polyprefix.serving.job import ClosedError, LateError, QueueFullError
from polyprefix.serving.metrics import CONTENT_TYPE, Metrics
from polyprefix.serving.schemas import (
    AdapterCard,
    AdapterList,
    Health,
    PredictRequest,
    PredictResponse,
    Problem,
    Sentence,
)

LOG = logging.getLogger("polyprefix.serving")
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": HTTPStatus(status).phrase}
    for status in (401, 404, 413, 422, 429, 503, 504)
}


def build(served: Sequence[Served], settings: ServeConfig, *, key: str | None = None, local_only: bool = True) -> App:
    """The ASGI application of some adapters.

    Args:
        served: from `serving.adapters.load`.
        settings: limits.
        key: that requests must bring; None asks for none.
        local_only: whether only names of this machine are answered.
    """
    engine = Engine(served, settings.serve.queue, settings.serve.pass_tokens, settings.eval.token_budget)
    desk, metrics = Desk(served, engine, settings.serve), Metrics(engine)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        engine.close(settings.serve.drain_seconds)

    # the pages of FastAPI load scripts from elsewhere; /docs is ours
    app = FastAPI(
        title="polyprefix",
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        responses=REFUSALS,
    )
    _errors(app)
    _routes(app, desk, metrics)
    openai.add_routes(app, desk)
    page.add_routes(app)
    paths = frozenset(route.path for route in app.routes if hasattr(route, "path"))
    app.state.engine = engine
    return Guard(app, metrics, settings.serve.body_bytes, key, local_only, paths)


def _routes(app: FastAPI, desk: Desk, metrics: Metrics) -> None:
    begun = int(time.time())

    @app.post("/v1/predict")
    async def predict(request: PredictRequest) -> PredictResponse:
        """Answers of an adapter, each with its probabilities and with what was measured in its language."""
        answers = await desk.predict(request)
        metrics.inputs.labels(request.adapter).inc(len(answers))
        return PredictResponse(adapter=request.adapter, answers=answers)

    @app.get("/v1/models")
    async def models() -> AdapterList:
        """All adapters."""
        return AdapterList(data=[card(one, begun) for one in desk.served])

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> AdapterCard:
        """One adapter."""
        return card(desk.adapter(name), begun)

    @app.get("/health")
    async def health() -> Health:
        """Whether the service answers."""
        return Health(adapters=len(desk.served), waiting=desk.engine.line.waiting)

    @app.get("/metrics", response_class=Response)
    async def figures() -> Response:
        """Figures for Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)


def card(one: Served, created: int) -> AdapterCard:
    """What is said of an adapter."""
    info = one.predictor.task.info
    return AdapterCard(
        id=one.name, created=created, task=info.name, title=info.title, inputs=info.inputs, labels=info.labels,
        generates=one.generates, method=one.model.method.name, base_model=one.model.base.name, metric=one.measured.metric,
        languages={code: get(code).name for code in one.measured.scores},
        examples=[Sentence(language=code, name=get(code).name, text=text) for code, text in one.examples.items()],
    )  # fmt: skip


def _errors(app: FastAPI) -> None:
    """Every error is one line in OpenAI's form; nothing of a text or of the inside is said or logged."""

    def answer(status: int, message: str, kind: str = "invalid_request_error", **headers: str) -> Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Response(problem(status, message, kind), status, named, "application/json")

    async def asked(request: Request, error: Exception) -> Response:
        return answer(404 if isinstance(error, UnknownAdapterError) else 422, " ".join(str(error).split()))

    async def malformed(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        places = {".".join(map(str, one["loc"])) + ": " + str(one["msg"]) for one in error.errors()[:10]}
        return answer(422, "; ".join(sorted(places)))

    async def full(request: Request, error: Exception) -> Response:
        assert isinstance(error, QueueFullError)
        return answer(429, str(error), "rate_limit_error", Retry_After=str(error.retry_after))

    async def closed(request: Request, error: Exception) -> Response:
        return answer(503, str(error), "server_error", Retry_After="5")

    async def late(request: Request, error: Exception) -> Response:
        return answer(504, str(error), "server_error")

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return answer(error.status_code, str(error.detail))

    async def ours(request: Request, error: Exception) -> Response:
        LOG.error("%s %s failed: %s", request.method, request.scope["path"], type(error).__name__)
        return answer(500, said(error), "server_error")

    handlers = {
        UserError: asked, RequestValidationError: malformed, QueueFullError: full, ClosedError: closed, LateError: late,
        HTTPException: http, Exception: ours,
    }  # fmt: skip
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
