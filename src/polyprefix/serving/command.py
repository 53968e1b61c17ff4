"""`polyprefix serve`."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polyprefix.errors import ConfigError
from polyprefix.interruption import loading
from polyprefix.serving.key import KEY, is_loopback

if TYPE_CHECKING:
    from polyprefix.config import ServeConfig
    from polyprefix.serving.adapters import Served

LOOPBACK = "127.0.0.1"


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--host", default=LOOPBACK, show_default=True, help="Address to listen at; 0.0.0.0 is every one of this machine."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port to listen at.")
@click.option(
    "--model", help="The base model, where it is not found under the name that the adapters were trained with."
)
@click.option(
    "--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="A setting of serve, ray, eval or runtime."
)
@click.option("--ray", "on_ray", is_flag=True, help="Serve with replicas on Ray; settings in the section ray.")
@click.option(
    "--deployment",
    type=click.Path(path_type=Path),
    help="Write Ray's deployment file instead, for serve deploy and KubeRay.",
)
@click.option("--allow-pickle", is_flag=True, help="Also read pickled weights (.bin), a form that can run code.")
def serve(
    runs: tuple[str, ...],
    host: str,
    port: int,
    model: str | None,
    assignments: tuple[str, ...],
    on_ray: bool,
    deployment: Path | None,
    allow_pickle: bool,
) -> None:
    """Serve the adapters of RUNs (folders, or NAME=FOLDER) over HTTP, with a page at /.

    Clients must send the API key of the variable POLYPREFIX_API_KEY where it is set.
    """
    from polyprefix.config import ServeConfig
    from polyprefix.serving.adapters import named
    from polyprefix.settings import override, validate

    pickled = ("runtime.allow_pickle=true",) if allow_pickle else ()
    settings = validate(ServeConfig, override({}, (*assignments, *pickled)), "serve")
    if deployment is not None and not on_ray:
        raise ConfigError("--deployment is a file of Ray; give --ray with it")
    if on_ray:
        _on_ray(runs, settings, host, port, model, deployment)
        return
    folders = named(runs)
    if missing := [
        name for name in ("fastapi", "uvicorn", "prometheus_client") if importlib.util.find_spec(name) is None
    ]:
        raise ConfigError(f"serve: {', '.join(missing)} not installed; pip install 'polyprefix[serve]'")
    click.echo(f"{', '.join(folders)}: loading", err=True)
    with loading():
        from polyprefix.serving.adapters import load
    served = load(folders, settings, model)
    _run(served, settings, host, port)


def _on_ray(
    runs: Sequence[str], settings: ServeConfig, host: str, port: int, model: str | None, deployment: Path | None
) -> None:
    from polyprefix.adapters.saved import read_settings
    from polyprefix.prediction.loading import base_run_of
    from polyprefix.serving import ray
    from polyprefix.serving.adapters import named

    args = ray.RayArguments(runs=ray.absolute(runs), model=model, settings=settings, local_only=is_loopback(host))
    if deployment is None:
        for folder in named(runs).values():  # a mistake is said here, and not by a replica
            _ = base_run_of(folder) or read_settings(folder)
        ray.run(args, host, port)
        return
    ray.write_deployment(args, host, port, deployment)
    click.echo(f"wrote {deployment}")


def _run(served: Sequence[Served], settings: ServeConfig, host: str, port: int) -> None:
    import uvicorn

    from polyprefix.serving.app import build

    key, local = os.environ.get(KEY) or None, is_loopback(host)
    if not local and key is None:
        click.echo(f"anyone who reaches {host}:{port} may ask; set {KEY} to ask for a key", err=True)
    click.echo(
        f"http://{f'[{host}]' if ':' in host else host}:{port}/  page; /docs interface; /metrics figures; Ctrl-C ends it",
        err=True,
    )
    uvicorn.run(
        build(served, settings, key=key, local_only=local),
        host=host, port=port, log_level="warning", access_log=False, server_header=False,
        limit_concurrency=settings.serve.connections, timeout_graceful_shutdown=settings.serve.drain_seconds,
    )  # fmt: skip
