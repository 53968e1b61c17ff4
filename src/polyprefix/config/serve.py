"""What the service takes."""

from __future__ import annotations

from pydantic import Field

from polyprefix.config.common import MOST_TOKENS
from polyprefix.config.runtime import PredictConfig
from polyprefix.settings import Settings


class ServeLimits(Settings):
    """What the service takes, and for how long."""

    body_bytes: int = Field(default=1 << 20, ge=1 << 10, le=1 << 30)
    """Of a request; a larger one is answered with 413."""
    text_characters: int = Field(default=20_000, ge=1, le=10_000_000)
    """Of one input; a longer one is answered with 422."""
    inputs: int = Field(default=256, ge=1, le=100_000)
    """Of one request; more are answered with 422."""
    queue: int = Field(default=2048, ge=1, le=1_000_000)
    """Inputs that wait; a request for which there is no room is answered with 429 and `Retry-After`."""
    request_seconds: float = Field(default=120, gt=0, le=86_400)
    """A request that is not answered by then is answered with 504, and is not computed if it has not begun."""
    drain_seconds: int = Field(default=30, ge=0, le=86_400)
    """After SIGTERM no request is accepted, and those that were have this long."""
    connections: int = Field(default=1024, ge=1, le=1_000_000)
    """Open at a time; a request on another one is answered with 503."""
    pass_tokens: int | None = Field(default=None, ge=16, le=MOST_TOKENS)
    """Tokens of requests that are answered in one forward pass; None means as many as it holds, and on a CPU 1,280 of questions with choices
    over the passes that run at a time."""
    new_tokens: int = Field(default=512, ge=1, le=100_000)
    """Of a generated answer at most, where a request asks for a number."""


class RaySettings(Settings):
    """Replicas of the service on Ray Serve."""

    min_replicas: int = Field(default=1, ge=1, le=10_000)
    """That always run."""
    max_replicas: int = Field(default=1, ge=1, le=10_000)
    """That run where requests need them."""
    target_requests: float = Field(default=32, gt=0, le=1_000_000)
    """Requests under way for each replica; with more, another is started."""
    cpus: float = Field(default=1, ge=0, le=10_000)
    """Of each replica."""
    gpus: float = Field(default=0, ge=0, le=64)
    """Of each replica; 1 on machines with GPUs."""


class ServeConfig(PredictConfig):
    """What `serve` takes besides the runs."""

    serve: ServeLimits = ServeLimits()
    ray: RaySettings = RaySettings()
