"""The same application on Ray Serve: replicas on one machine or many, as many as requests need, one a GPU.

    polyprefix serve --ray RUN...                     a Ray of this machine, or the cluster that RAY_ADDRESS names
    polyprefix serve --ray --deployment FILE RUN...   writes the file for `serve deploy` and for KubeRay's RayService

Ray balances requests over replicas, starts and ends them, and tells them to drain. Each replica is the application of one process: its own
queue, batches across adapters, limits and figures.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from polyprefix.atomic import write_text
from polyprefix.config import ServeConfig
from polyprefix.errors import ConfigError, first_line
from polyprefix.serving.guard import App
from polyprefix.serving.key import KEY
from polyprefix.settings import Settings, validate

NAME = "polyprefix"


class RayArguments(Settings):
    """What a deployment file says of the application."""

    runs: tuple[str, ...] = Field(min_length=1)
    """FOLDER or NAME=FOLDER, on storage that every machine sees, or in the image."""
    model: str | None = None
    """The base model, where it is not found under the name that the adapters were trained with."""
    settings: ServeConfig = ServeConfig()
    local_only: bool = True
    """Whether only names of this machine are answered."""


def application(args: dict[str, Any]) -> Any:
    """The Ray Serve application of `RayArguments`: what `import_path` of a deployment file names.

    Raises:
        ConfigError: if a setting is unknown or impossible, or Ray Serve is not installed.
    """
    given = validate(RayArguments, args, "args")
    serve, limits = _serve(), given.settings

    def build_replica() -> App:
        from polyprefix.serving.adapters import load, named
        from polyprefix.serving.app import build

        served = load(named(given.runs), limits, given.model)
        return build(served, limits, key=os.environ.get(KEY) or None, local_only=given.local_only)

    deployment = serve.deployment(serve.ingress(build_replica)()).options(**_options(limits))
    return deployment.bind()


def run(args: RayArguments, host: str, port: int) -> None:
    """Serve on Ray until it is interrupted.

    Raises:
        ConfigError: if Ray Serve is not installed, or no replica begins.
    """
    serve = _serve()
    serve.start(http_options={"host": host, "port": port})
    try:
        serve.run(application(_plain(args)), name=NAME, route_prefix="/", blocking=True)
    except RuntimeError as error:
        raise ConfigError(f"serve --ray: no replica begins ({first_line(error)}); Ray's logs say why") from None


def write_deployment(args: RayArguments, host: str, port: int, path: Path) -> None:
    """Write the file that `serve deploy` reads, which is `serveConfigV2` of KubeRay's RayService.

    Raises:
        OutputError: if it cannot be written.
    """
    content = {
        "proxy_location": "EveryNode",
        "http_options": {"host": host, "port": port},
        "applications": [
            {
                "name": NAME, "route_prefix": "/", "import_path": f"{__name__}:application", "args": _plain(args),
                "deployments": [{"name": NAME, **_options(args.settings)}],
            }
        ],
    }  # fmt: skip
    write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _plain(args: RayArguments) -> dict[str, Any]:
    """What was set, as plain values."""
    found: dict[str, Any] = args.model_dump(mode="json", exclude_defaults=True)
    return found


def _options(settings: ServeConfig) -> dict[str, Any]:
    ray, limits = settings.ray, settings.serve
    return {
        "name": NAME,
        "max_ongoing_requests": limits.connections,
        "graceful_shutdown_timeout_s": limits.drain_seconds,
        "autoscaling_config": {
            "min_replicas": ray.min_replicas,
            "max_replicas": max(ray.min_replicas, ray.max_replicas),
            "target_ongoing_requests": ray.target_requests,
        },
        "ray_actor_options": {"num_cpus": ray.cpus, "num_gpus": ray.gpus},
    }


def _serve() -> Any:
    try:
        from ray import serve
    except ImportError:
        raise ConfigError("serve --ray: Ray Serve is not installed; run: pip install 'polyprefix[ray-serve]'") from None
    return serve


def absolute(runs: Sequence[str]) -> tuple[str, ...]:
    """Folders as absolute paths, since a replica has a working folder of its own."""
    found = []
    for run_ in runs:
        name, separator, folder = run_.partition("=")
        alone = not separator or Path(run_).exists()
        found.append(str(Path(run_).resolve()) if alone else f"{name}={Path(folder).resolve()}")
    return tuple(found)
