"""Law: a card says what result.json says, in every language; what is pushed is what is loaded again, to the last bit, and names no path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from tests.integrations.hub_server import hub as stand_in
from tests.integrations.hub_server import mistakes

from polyprefix.integrations.card import card_of
from polyprefix.languages import get
from polyprefix.report.format import interval, percent
from polyprefix.results.files import read_result

Command = Callable[..., tuple[int, str, str]]
KEPT = sorted((Path(__file__).parents[2] / "studies" / "results" / "small").glob("*-s0-*/result.json"))
KINDS = {path.parent.name.rpartition("-s0-")[0]: path.parent for path in KEPT}
"""One kept run of each task, method and model."""
CODE = """
import json, sys
from huggingface_hub import HfApi
import polyprefix as pp
from polyprefix.cli import main
run, model, repository = sys.argv[1:]
sys.argv = ["polyprefix", "push", run, repository, "--base", "org/tiny", "--licence", "mit"]
try:
    main()
except SystemExit as end:
    assert not end.code
files = sorted(HfApi().list_repo_files(repository))
base = pp.load_model(model, dtype="float32")
adapted = pp.load_adapter(base, repository)
there = {name: tensor.detach() for name, tensor in adapted.adapter.tensors().items()}
adapted.detach()
here = pp.load_adapter(base, run).adapter.tensors()
same = set(there) == set(here) and all((there[name] == here[name]).all() for name in here)
print(json.dumps({"files": files, "same": bool(same), "place": adapted.place, "task": adapted.learned["name"]}))
"""


@pytest.mark.parametrize("name", list(KINDS)[:: max(1, len(KINDS) // 6)])
def test_a_card_says_what_the_result_says(name: str) -> None:
    folder = KINDS[name]
    text, result = card_of(folder, repository="org/name"), read_result(folder)
    assert not mistakes(text)
    data = ModelCard(text).data
    metric = next(iter(next(iter(result.scores.values()))))
    assert {one.dataset_config: one.metric_value for one in data.eval_results} == {
        code: round(found[metric].value, 6) for code, found in result.scores.items()
    }
    for code, found in result.scores.items():
        score = found[metric]
        [row] = [line for line in text.splitlines() if line.startswith(f"| {get(code).name} |")]
        assert f"{percent(score.value)} {interval(score.ci95)}" in row and f"| {score.n:,} |" in row
    assert all(f"- {note}" in text for note in result.notes)
    assert data.base_model and data.license in ("gemma", "apache-2.0") and "polyprefix" in data.tags


def test_the_command_writes_the_card_into_the_run(polyprefix: Command, tmp_path: Path) -> None:
    folder = next(iter(KINDS.values()))
    status, out, err = polyprefix("card", folder, "--out", tmp_path / "README.md")
    assert status == 0 and "README.md" in out, err
    assert (tmp_path / "README.md").read_text() == card_of(folder)
    status, _, err = polyprefix("card", folder, "--out", tmp_path / "r.md", "--licence", "mine")
    assert status == 2 and "apache-2.0" in err
    status, _, err = polyprefix("card", tmp_path)
    assert status == 2 and "not a finished run" in err


@pytest.fixture(scope="module")
def run(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import polyprefix as pp

    config: dict[str, Any] = {
        "model": str(tiny_folder),
        "task": "terms",
        "languages": ["sw"],
        "eval_size": 6,
        "train_size": 8,
    }
    made = pp.run(
        pp.RunConfig(**config, train={"steps": 1, "validation_size": 3, "validations": 1}), out=tmp_path_factory.mktemp("runs")
    )  # fmt: skip
    assert not isinstance(made, tuple) and made.folder
    return Path(made.folder)


def test_pushed_listed_and_loaded_again(run: Path, tiny_folder: Path, tmp_path: Path) -> None:
    with stand_in() as server:
        environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
        environment |= {
            "HF_ENDPOINT": server.address,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_TOKEN": "hf_of_the_test",
            "HF_HUB_DISABLE_XET": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", CODE, str(run), str(tiny_folder), "org/terms-prefix"], capture_output=True, text=True, env=environment
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        assert not server.unknown
        pushed = server.repositories["org/terms-prefix"]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["files"] == ["README.md", "adapter.json", "adapter.safetensors"]
    assert found["same"] and found["task"] == "terms" and "terms-prefix" in found["place"]
    assert json.loads(pushed["adapter.json"])["base"]["name"] == "org/tiny"
    for content in (pushed["README.md"], pushed["adapter.json"]):
        assert str(tiny_folder).encode() not in content and b"/tmp" not in content
    assert not mistakes(pushed["README.md"].decode())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("RUN", "no-organisation"), "organisation/name"),
        (("RUN", "org/name"), "--base ORG/NAME"),
        (("RUN", "org/name", "--base", "org/tiny"), "the Hub does not answer"),
        (("nowhere", "org/name"), "not a finished run"),
    ],
)
def test_what_cannot_be_pushed(
    words: tuple[str, ...], message: str, run: Path, polyprefix: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    status, _, err = polyprefix("push", *(str(run) if word == "RUN" else word for word in words))
    assert status == 2 and message in err


def test_an_adapter_that_is_nowhere(polyprefix: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    status, _, err = polyprefix("predict", "org/no-such-adapter", "--text", "x")
    assert status == 2 and "org/no-such-adapter" in err
