"""A run and adapters of every method on one tiny random model, as folders, and a service of them in a thread."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import polyprefix as pp
from polyprefix.adapters import registry
from polyprefix.adapters.attach import attach
from polyprefix.adapters.files import save_adapter
from polyprefix.config import RunConfig, ServeConfig
from polyprefix.models.load import load_model
from polyprefix.serving.adapters import Served, load, named
from polyprefix.settings import validate

uvicorn = pytest.importorskip("uvicorn", reason="no uvicorn here: pip install 'polyprefix[serve]'")

HEADLINES = Path(__file__).parents[2] / "examples" / "headlines"
METHODS: dict[str, dict[str, Any]] = {
    "prefix": {"length": 5},
    "short": {"name": "prefix", "length": 2, "layers": "0,2"},
    "soft-prompt": {"length": 7},
    "llama-adapter": {"length": 4, "layers": "1-"},
    "lora": {"rank": 4},
    "lora-all": {"name": "lora", "rank": 2, "targets": "all-linear"},
    "full": {},
}
FLOAT32 = ("--set", "runtime.dtype=float32")


@pytest.fixture(scope="session")
def run(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run, with results in English, German and Swahili."""
    train = {"epochs": 1, "batch_size": 8, "validation_size": 4, "validations": 1}
    settings = {"model": str(tiny_folder), "task": str(HEADLINES), "train": train, "runtime": {"dtype": "float32"}}
    return pp.run(validate(RunConfig, settings, "run"), out=tmp_path_factory.mktemp("runs")).folder


@pytest.fixture(scope="session")
def folders(run: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> the folder of the run, of an adapter of every method, and of one that writes its answers."""
    place, learned = tmp_path_factory.mktemp("adapters"), pp.load_adapter(load_model(str(tiny_folder)), run).learned
    found = {"run": run}
    for seed, (name, given) in enumerate({**METHODS, "writer": {"name": "prefix", "length": 3}}.items()):
        base = load_model(str(tiny_folder), dtype="float32")
        model = attach(base, registry.build({"name": name, **given}), seed=seed)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for _, parameter in model.trainable():
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
        task = {"name": "mgsm", "protocol": "default"} if name == "writer" else learned
        found[name] = save_adapter(model, place / name, task=task)
    return found


def settings(**serve: Any) -> ServeConfig:
    return validate(ServeConfig, {"runtime": {"dtype": "float32"}, "serve": serve}, "serve")


@pytest.fixture(scope="session")
def served(folders: dict[str, Path]) -> list[Served]:
    return load(named([f"{name}={folder}" for name, folder in folders.items()]), settings(), concurrent_passes=2)


class Service:
    """A service on a free port of this machine, in a thread."""

    def __init__(self, served: list[Served], *, key: str | None = None, **serve: Any) -> None:
        from polyprefix.serving.app import build

        app = build(served, settings(**serve), key=key)
        self.engine = app.app.state.engine  # type: ignore[attr-defined]
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="error", server_header=False))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)


@pytest.fixture(scope="session")
def service(served: list[Served]) -> Iterator[Service]:
    found = Service(served)
    yield found
    found.close()
