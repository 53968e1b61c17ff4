"""Law: on Ray Serve the answers are those of the service; the deployment file says the same in YAML."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.serving.conftest import FLOAT32, Service
from tests.serving.test_command import Command, free_port
from tests.serving.test_service import TEXTS, call, predict

from polyprefix.serving.ray import RayArguments
from polyprefix.settings import validate


def test_a_deployment_file(polyprefix: Command, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "serve.yaml"
    words = (
        "--ray",
        "--deployment",
        out,
        f"news={run}",
        "--host",
        "0.0.0.0",
        "--set",
        "ray.max_replicas=4",
        "--set",
        "ray.gpus=1",
    )
    status, _, err = polyprefix("serve", *words)
    assert status == 0, err
    [told] = (content := yaml.safe_load(out.read_text()))["applications"]
    assert content["http_options"] == {"host": "0.0.0.0", "port": 8000}
    assert told["import_path"] == "polyprefix.serving.ray:application" and told["route_prefix"] == "/"
    args = validate(RayArguments, told["args"], "args")
    assert args.runs == (f"news={run.resolve()}",) and not args.local_only
    [deployment] = told["deployments"]
    assert deployment["autoscaling_config"]["max_replicas"] == 4 and deployment["ray_actor_options"]["num_gpus"] == 1


def test_mistakes_are_one_line(polyprefix: Command, run: Path, tmp_path: Path) -> None:
    for words, word in (
        (("--deployment", tmp_path / "x.yaml", run), "--ray"),
        (("--ray", tmp_path), "adapter.json"),
        (("--ray", run, "--set", "ray.replicas=3"), "replicas"),
    ):
        status, _, err = polyprefix("serve", *words)
        assert status == 2 and word in err and err.count("polyprefix: ") == 1, err


def test_a_local_ray_answers_as_the_service_does(run: Path, folders: dict[str, Path], service: Service) -> None:
    pytest.importorskip(
        "ray.serve", reason="no Ray Serve here: pip install 'polyprefix[ray-serve]'", exc_type=ImportError
    )
    port = free_port()
    words = [f"run={run}", f"lora={folders['lora']}", "--port", str(port), "--set", "ray.cpus=0.5", *FLOAT32]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    process = subprocess.Popen([sys.executable, "-m", "polyprefix", "serve", "--ray", *words], env=environment)
    url, begun = f"http://127.0.0.1:{port}", time.monotonic()

    def ready() -> bool:
        try:
            return call(f"{url}/health")[0] == 200
        except OSError:
            return False

    try:
        while not ready():
            assert process.poll() is None and time.monotonic() - begun < 120
            time.sleep(0.2)
        for name in ("run", "lora"):
            status, _, told = call(f"{url}/v1/predict", {"adapter": name, "inputs": TEXTS})
            assert status == 200, told
            for mine, wanted in zip(told["answers"], predict(service, name, TEXTS), strict=True):
                assert _rounded(mine) == _rounded(wanted)
        assert call(f"{url}/v1/predict", {"adapter": "nobody", "inputs": ["x"]})[0] == 404
        assert call(f"{url}/health", host="evil.example")[0] == 421
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _rounded(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "probabilities": {label: round(p, 4) for label, p in answer["probabilities"].items()}}
