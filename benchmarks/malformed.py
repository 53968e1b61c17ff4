"""Requests that nobody should send: drawn from a seed, of every kind that a server has to survive."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable
from typing import Any

GOOD: dict[str, dict[str, Any]] = {
    "/v1/predict": {"adapter": "prefix", "inputs": ["Timu yashinda"], "language": "sw", "calibration": "none"},
    "/v1/completions": {"model": "writer", "prompt": "one two", "max_tokens": 3, "stream": False, "stop": ["x"]},
    "/v1/chat/completions": {"model": "writer", "messages": [{"role": "user", "content": "What?"}], "max_tokens": 3},
}
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1e308, 10**400, 0.5, "", "x", "\0", "\ud800", "‮", "x" * 30_000, [], [[]], [None], {},
    {"": ""}, {"text": 3}, ["x"] * 300, [{"x": "y"}], "../../etc/passwd", "none", "NaN", [1e999], "stop",
)  # fmt: skip
METHODS = ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "POST ", "G\0ET", "post")
PATHS = (
    "/", "//", "/v1", "/v1/models/%2e%2e%2f%2e%2e", "/../etc/passwd", "/v1/predict/", "/v1/models/" + "a" * 5000, "/%00", "/%ff",
    "*", "http://elsewhere/", "/docs/../v1", "/openapi.json?x=" + "y" * 3000,
)  # fmt: skip
HEADERS = (
    "content-length: -1", "content-length: 5\r\ncontent-length: 6", "content-length: 99999999999999999999", "content-length: x",
    "transfer-encoding: chunked", "transfer-encoding: gzip", "content-type: text/plain", "content-type: application/json; charset=nope",
    "expect: 100-continue", "host: evil.example", "host:", "authorization: Bearer \xff", "x: " + "y" * 20_000, ": empty", "no colon",
    "upgrade: websocket\r\nconnection: upgrade", "connection: close", "range: bytes=0-99999999", "accept-encoding: br;q=x",
)  # fmt: skip


def draw(random_: random.Random) -> bytes:
    """The bytes of one request."""
    kind: Callable[[random.Random], bytes] = random_.choice(
        (_bytes_changed, _value_changed, _head_changed, _garbage, _deep)
    )
    return kind(random_)


def send(port: int, data: bytes, seconds: float = 10.0) -> int | None:
    """Send bytes and close our side; the status of the answer, None where the connection ended without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as sent:
        try:
            sent.sendall(data)
            sent.shutdown(socket.SHUT_WR)
            head = b""
            while b"\r\n" not in head and (more := sent.recv(4096)):
                head += more
        except (ConnectionError, TimeoutError):
            return None
    words = head.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else None


def request(path: str, body: bytes, *, method: str = "POST", headers: tuple[str, ...] = ()) -> bytes:
    """A request as it should be, but for what is given."""
    named = {line.split(":")[0] for line in headers}
    more = [
        f"{name}: {value}"
        for name, value in (("host", "127.0.0.1"), ("content-type", "application/json"))
        if name not in named
    ]
    if not named & {"content-length", "transfer-encoding"}:
        more.append(f"content-length: {len(body)}")
    lines = [f"{method} {path} HTTP/1.1", *more, *headers, "connection: close"]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


def _path(random_: random.Random) -> tuple[str, dict[str, Any]]:
    path = random_.choice(list(GOOD))
    return path, json.loads(json.dumps(GOOD[path]))


def _bytes_changed(random_: random.Random) -> bytes:
    path, content = _path(random_)
    body = bytearray(json.dumps(content).encode())
    for _ in range(random_.randint(1, 5)):
        place = random_.randrange(len(body) + 1)
        body[place : place + random_.randint(0, 4)] = random_.randbytes(random_.randint(0, 4))
    return request(path, bytes(body))


def _value_changed(random_: random.Random) -> bytes:
    path, content = _path(random_)
    for _ in range(random_.randint(1, 2)):
        key = random_.choice([*content, "more", "temperature", "n", "max_completion_tokens", "stream_options"])
        value = random_.choice(VALUES)
        if random_.random() < 0.2:
            content.pop(key, None)
        elif isinstance(content.get(key), list) and random_.random() < 0.5:
            content[key] = [*content[key], value]
        else:
            content[key] = value
    return request(path, json.dumps(content).encode())


def _head_changed(random_: random.Random) -> bytes:
    path, content = _path(random_)
    body = json.dumps(content).encode()
    if random_.random() < 0.5:
        return request(path, body, headers=(random_.choice(HEADERS),))
    return request(random_.choice([path, *PATHS]), body, method=random_.choice(METHODS))


def _garbage(random_: random.Random) -> bytes:
    if random_.random() < 0.5:
        return random_.randbytes(random_.randint(0, 400))
    path, content = _path(random_)
    whole = request(path, json.dumps(content).encode())
    return whole[: random_.randrange(len(whole))]


def _deep(random_: random.Random) -> bytes:
    path, _ = _path(random_)
    depth = random_.choice((50, 2_000, 100_000))
    opened, closed = random_.choice((("[", "]"), ('{"a":', "}")))
    body = opened * depth + random_.choice(("", "1" + closed * depth))
    return request(path, body.encode())
