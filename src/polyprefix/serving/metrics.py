"""Figures for Prometheus; names of adapters and statuses are their only labels, never a text."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from polyprefix.serving.engine import Engine

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The figures of one service."""

    def __init__(self, engine: Engine) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "polyprefix_requests", "Requests by path and status.", ("path", "status"), registry=self.registry
        )
        self.inputs = Counter("polyprefix_inputs", "Inputs that were answered.", ("adapter",), registry=self.registry)
        self.seconds = Histogram(
            "polyprefix_request_seconds", "From request to answer.", ("path",), buckets=SECONDS, registry=self.registry
        )
        waiting = Gauge("polyprefix_waiting_inputs", "Inputs in the queue.", registry=self.registry)
        waiting.set_function(lambda: float(engine.line.waiting))
        passes = Gauge("polyprefix_passes", "Batches that were taken from the queue.", registry=self.registry)
        passes.set_function(lambda: float(engine.line.passes))

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self.registry)
