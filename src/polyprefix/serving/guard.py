"""What every request passes first: key, host, size of the body; and what every answer carries: a strict content policy.

Plain ASGI, so that a body is counted while it arrives and streams stay streams.
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException

from polyprefix.serving.metrics import Metrics

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = ("/health", "/", "/docs", "/openapi.json")
"""Paths that need no key: whoever watches a process need not know it, and a browser sends none for a page, which says nothing of a run."""
POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
DISCARDED = 8
"""Times the limit of a body that are read of one that is refused."""
LOCAL = ("localhost", "127.0.0.1", "[::1]")


def problem(status: int, message: str, kind: str = "invalid_request_error") -> bytes:
    """The body of an answer that is none, in OpenAI's form."""
    content = {"error": {"message": message, "type": kind, "code": status}}
    return json.dumps(content, ensure_ascii=False).encode(errors="replace")


@dataclass(frozen=True)
class Guard:
    """An application behind the checks."""

    app: App
    metrics: Metrics
    body_bytes: int
    key: str | None
    local_only: bool
    """Whether only names of this machine are served, so that a page elsewhere cannot reach it by a name of its own (DNS rebinding)."""
    paths: frozenset[str]
    """That exist; others are counted as one."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.monotonic(), 500

        async def guarded(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._with_policy(message.get("headers", []))
            await send(message)

        try:
            if (refusal := self._refusal(scope)) is not None:
                await self._discard(receive)
                await _answer(guarded, *refusal)
            else:
                await self._within_limit(scope, receive, guarded)
        finally:
            path = scope["path"] if scope["path"] in self.paths else "other"
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.seconds.labels(path).observe(time.monotonic() - begun)

    async def _discard(self, receive: Receive) -> None:
        """Read the body of a refused request and forget it: a client that is cut off while it sends never sees the answer. Of a body that is
        far too large the rest is left."""
        seen = 0
        while seen <= DISCARDED * self.body_bytes:
            message = await receive()
            seen += len(message.get("body", b""))
            if not message.get("more_body", False):
                return

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        if self.local_only:
            host = headers.get(b"host", b"").decode("latin-1").lower()
            if (host if host.endswith("]") else host.rpartition(":")[0] or host) not in LOCAL:
                return (
                    421,
                    "this service answers to names of its own machine only; start it with --host to serve others",
                )
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            return 400, "the length of the body is no number"
        if int(length) > self.body_bytes:
            return 413, self._too_large
        if self.key is not None and scope["path"] not in OPEN and not self._knows_key(headers):
            return 401, "no such API key; send it as 'Authorization: Bearer KEY'"
        return None

    @property
    def _too_large(self) -> str:
        return f"the body has more than {self.body_bytes:,} bytes; send fewer inputs"

    def _knows_key(self, headers: MutableMapping[bytes, bytes]) -> bool:
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        return kind.lower() == b"bearer" and hmac.compare_digest(given.strip(), str(self.key).encode())

    async def _within_limit(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = 0

        async def counted() -> MutableMapping[str, Any]:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.body_bytes:
                raise HTTPException(413, self._too_large)
            return message

        await self.app(scope, counted, send)

    @staticmethod
    def _with_policy(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        there = {name.lower() for name, _ in headers}
        more = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in there]
        return [*headers, *more]


async def _answer(send: Send, status: int, message: str) -> None:
    body = problem(status, message, "authentication_error" if status == 401 else "invalid_request_error")
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
