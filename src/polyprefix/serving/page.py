"""The page at / and the interface at /docs: one HTML file each, with its style and script inside, allowed by their hashes alone."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from polyprefix.serving.guard import POLICY


def add_routes(app: FastAPI) -> None:
    """Both pages. They hold no text of a run and no name of an adapter, so that they need no key."""
    environment = Environment(
        loader=PackageLoader("polyprefix.serving"),
        autoescape=lambda name: name is None or not name.endswith((".js", ".css")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (environment.get_template(f"page.{kind}").render() for kind in ("css", "js"))
    policy = f"{POLICY}; style-src 'sha256-{_digest(style)}'; script-src 'sha256-{_digest(script)}'; connect-src 'self'"
    shown = environment.get_template("page.html.j2").render(style=Markup(style), script=Markup(script))

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        """Ask all adapters, and see what to think of their answers."""
        return HTMLResponse(shown, headers={"content-security-policy": policy})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        """What can be asked, from the OpenAPI description."""
        described = environment.get_template("docs.html.j2").render(
            style=Markup(style), operations=_operations(app.openapi()), schemas=app.openapi()["components"]["schemas"]
        )
        return HTMLResponse(
            described, headers={"content-security-policy": f"{POLICY}; style-src 'sha256-{_digest(style)}'"}
        )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _operations(described: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
