"""Law: the service answers as `Predictor` does, whoever else asks; it says what was measured; and nothing that is sent to it breaks it."""

from __future__ import annotations

import json
import logging
import random
import socket
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.serving.conftest import METHODS, Service, settings

from polyprefix.calibration import questions
from polyprefix.calibration.temperature import fit_temperature
from polyprefix.config import PredictConfig, RuntimeConfig
from polyprefix.errors import AdapterError, ConfigError
from polyprefix.models.load import load_model
from polyprefix.prediction import Predictor
from polyprefix.results.files import read_result
from polyprefix.serving import adapters
from polyprefix.serving.adapters import Served, load, named
from polyprefix.serving.engine import Engine

TEXTS = [
    "Timu yashinda fainali",
    "Bei ya mafuta yapanda",
    "ราคาน้ำมันขึ้นอีกครั้ง",
    "Heavy rain is expected in the north",
    "کل شدید بارش ہوگی",
]
CHOOSING = ["run", *METHODS]


def call(url: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], Any]:
    """Status, headers and body; a body that is bytes is sent as it is."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text, status, found = answer.read(), answer.status, dict(answer.headers)
    except urllib.error.HTTPError as error:
        text, status, found = error.read(), error.code, dict(error.headers)
    kind = found.get("content-type", "")
    return status, {k.lower(): v for k, v in found.items()}, json.loads(text) if "json" in kind else text.decode()


def predict(service: Service, adapter: str, texts: list[str], **more: Any) -> list[dict[str, Any]]:
    status, _, body = call(f"{service.url}/v1/predict", {"adapter": adapter, "inputs": texts, **more})
    assert status == 200, body
    return body["answers"]


@pytest.mark.parametrize("name", CHOOSING)
def test_every_method_answers_as_a_predictor_does(service: Service, folders: dict[str, Path], name: str) -> None:
    alone = Predictor(folders[name], settings=PredictConfig(runtime=RuntimeConfig(dtype="float32")))
    wanted = alone(TEXTS, language="sw")
    for text, one, other in zip(
        TEXTS, predict(service, name, TEXTS, language="sw", calibration="none"), wanted, strict=True
    ):
        assert one["prediction"] == other["prediction"], text
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_company_changes_no_answer(service: Service) -> None:
    """Many requests to all adapters at once are those of one after the other."""
    draw = random.Random(1)
    wanted = {
        (name, text): predict(service, name, [text], calibration="none")[0] for name in CHOOSING for text in TEXTS
    }
    asked = [(draw.choice(CHOOSING), draw.sample(TEXTS, draw.randint(1, 4))) for _ in range(120)]
    before = service.engine.line.passes
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda pair: predict(service, pair[0], pair[1], calibration="none"), asked))
    assert service.engine.line.passes - before < len(asked), "requests shared passes"
    for (name, texts), found in zip(asked, answers, strict=True):
        for text, one in zip(texts, found, strict=True):
            assert one["prediction"] == wanted[name, text]["prediction"]
            assert one["probabilities"] == pytest.approx(wanted[name, text]["probabilities"], abs=1e-5)


def test_what_was_measured_stands_beside_the_answer(service: Service, run: Path) -> None:
    result = read_result(run)
    [swahili] = predict(service, "run", ["Timu yashinda fainali ya kombe la dunia mjini Nairobi"])
    assert (swahili["language"]["code"], swahili["language"]["recognised"]) == ("swh_Latn", True)
    assert 0.5 < swahili["language"]["probability"] <= 1
    score = result.scores["swh_Latn"]["accuracy"]
    told = swahili["measured"]
    assert (told["status"], told["value"], told["n"], tuple(told["ci95"])) == (
        "tested",
        score.value,
        score.n,
        score.ci95,
    )
    assert told["training"] == "zero-shot" and swahili["calibration"] == "prior of swh_Latn"
    [english] = predict(service, "run", ["x"], language="English")
    assert english["measured"]["training"] == "source" and not english["language"]["recognised"]
    [thai] = predict(service, "run", ["ราคาน้ำมันขึ้นอีกครั้ง"])
    assert thai["measured"]["status"] == "never tested" and thai["measured"]["value"] is None
    assert thai["calibration"] == "prior of 3 tested languages"
    [nothing] = predict(service, "run", ["12345 67"])
    assert nothing["measured"]["status"] == "language not recognised" and nothing["language"]["code"] is None
    [other] = predict(service, "prefix", ["Timu yashinda"], language="sw")
    assert other["measured"] == {**dict.fromkeys(other["measured"]), "status": "never tested"}, (
        "an adapter without a run"
    )


def test_a_temperature_is_fitted_once_a_language_and_not_once_a_request(
    served: list[Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search over all validation texts takes longer than a short answer."""
    [one] = [one for one in served if one.name == "run"]
    fitted: list[int] = []
    monkeypatch.setattr(one.predictor, "_priors", {})
    monkeypatch.setattr(questions, "fit_temperature", lambda *given: fitted.append(1) or fit_temperature(*given))
    found = [one.prior(code) for code in ("deu_Latn", "swh_Latn") * 5]
    assert len(fitted) == 2 and all(prior is found[n % 2] for n, prior in enumerate(found))


def test_the_thread_that_loads_ends_and_leaves_no_workers(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers of OpenMP that stay behind would make every pass of the engine slower (`serving.adapters.load`)."""
    threads: list[threading.Thread] = []
    load_here = adapters._load
    monkeypatch.setattr(
        adapters, "_load", lambda *given: (threads.append(threading.current_thread()), load_here(*given))[1]
    )
    load(named([f"prefix={folders['prefix']}"]), settings())
    [thread] = threads
    assert thread is not threading.current_thread() and not thread.is_alive()


def test_models_health_metrics_and_description(service: Service, run: Path) -> None:
    models = {one["id"]: one for one in call(f"{service.url}/v1/models")[2]["data"]}
    assert list(models) == ["run", *METHODS, "writer"]
    assert models["run"]["languages"] == {"eng_Latn": "English", "deu_Latn": "German", "swh_Latn": "Swahili"}
    assert models["run"]["labels"] == ["sport", "money", "weather"] and not models["run"]["generates"]
    assert {one["language"] for one in models["run"]["examples"]} == {"eng_Latn", "deu_Latn", "swh_Latn"}
    assert call(f"{service.url}/v1/models/lora")[2] == models["lora"]
    assert call(f"{service.url}/health")[2]["status"] == "ok"
    figures = call(f"{service.url}/metrics")[2]
    assert 'polyprefix_requests_total{path="/v1/models",status="200"}' in figures
    assert "polyprefix_request_seconds_bucket" in figures and "Timu" not in figures
    described = call(f"{service.url}/openapi.json")[2]
    assert {"/v1/predict", "/v1/models", "/v1/completions", "/v1/chat/completions"} <= set(described["paths"])
    for path in ("/", "/docs"):
        status, headers, text = call(service.url + path)
        assert status == 200 and "<html" in text and "http://" not in text and "https://" not in text
        assert "default-src 'none'" in headers["content-security-policy"]


BAD = [
    ({"adapter": "runn", "inputs": ["x"]}, 404, "did you mean 'run'"),
    ({"adapter": "run", "inputs": []}, 422, "inputs"),
    ({"adapter": "run", "inputs": [""]}, 422, "inputs"),
    ({"adapter": "run", "inputs": ["  "]}, 422, "text 1, column 'headline': found nothing"),
    ({"adapter": "run", "inputs": [{"headlin": "x"}]}, 422, "headline"),
    ({"adapter": "run", "inputs": ["x"], "language": "swahilli"}, 422, "Swahili"),
    ({"adapter": "run", "inputs": ["x"], "calibration": "best"}, 422, "calibration"),
    ({"adapter": "prefix", "inputs": ["x"], "calibration": "prior"}, 422, "kept no prior"),
    ({"adapter": "run", "inputs": ["x"], "langauge": "sw"}, 422, "langauge"),
    ({"adapter": "run", "inputs": ["word " * 300]}, 422, "tokens"),
    ({"adapter": "run", "inputs": ["x" * 30_000]}, 422, "at most 20,000"),
    ({"adapter": "run", "inputs": ["x"] * 300}, 422, "at most 256"),
    (b"{", 422, "JSON"),
    (b"\xff\xfe", 422, ""),
    (b'{"adapter": "run", "inputs": ["\\ud800"]}', 422, "half of a character"),
    (b'{"adapter": "\\ud800", "inputs": ["x"]}', 422, "half of a character"),
    (b'{"adapter": "run", "inputs": ["x"], "language": "\\udfff"}', 422, "half of a character"),
    (b'{"adapter": "run", "inputs": ["x"], "\\ud800": 1}', 422, ""),
    (b"x" * (1 << 20) + b"x", 413, "bytes"),
    (b"[" * 100_000, 400, ""),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "word"), BAD, ids=lambda value: str(value)[:40])
def test_what_cannot_be_answered_is_said_in_one_line(service: Service, body: Any, status: int, word: str) -> None:
    found, headers, told = call(f"{service.url}/v1/predict", body)
    assert found == status, told
    assert word in told["error"]["message"] and "\n" not in told["error"]["message"] and "Traceback" not in str(told)
    assert headers["x-content-type-options"] == "nosniff" and "access-control-allow-origin" not in headers
    assert predict(service, "run", ["x"])


def test_drawn_requests_are_never_an_error_of_ours(service: Service) -> None:
    draw = random.Random(0)
    good = json.dumps({"adapter": "run", "inputs": ["Timu"], "language": "sw"}).encode()
    for _ in range(150):
        body = bytearray(good)
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(body))
            body[place : place + draw.randint(0, 3)] = draw.randbytes(draw.randint(0, 3))
        status, _, told = call(f"{service.url}/v1/predict", bytes(body))
        assert status in (200, 400, 404, 422), (status, told, bytes(body))
    for path in ("/v1", "/../etc/passwd", "/v1/models/%2e%2e%2f", "/static/x", "//"):
        assert call(service.url + path)[0] in (404, 405)
    assert call(f"{service.url}/v1/predict", good, **{"content-type": "text/plain"})[0] == 422, (
        "a form elsewhere cannot send it"
    )
    assert predict(service, "run", ["x"])


def test_a_body_that_grows_beyond_the_limit_while_it_arrives(service: Service) -> None:
    head = "POST /v1/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2]))) as sent:
        sent.sendall(head.encode())
        for _ in range(17):
            sent.sendall(b"10000\r\n" + b" " * (1 << 16) + b"\r\n")
        assert sent.recv(12).endswith(b"413")
    assert predict(service, "run", ["x"])


def test_only_names_of_this_machine_are_served(service: Service) -> None:
    assert call(f"{service.url}/health", host="evil.example")[0] == 421
    assert call(f"{service.url}/health", host="localhost:8000")[0] == 200


def test_a_key_is_asked_for(served: list[Served]) -> None:
    service = Service(served, key="s3cret")
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic s3cret"}):
        status, answered, _ = call(f"{service.url}/v1/models", **headers)
        assert status == 401 and answered["www-authenticate"] == "Bearer"
    assert call(f"{service.url}/v1/models", authorization="Bearer s3cret")[0] == 200
    assert call(f"{service.url}/health")[0] == 200 and call(f"{service.url}/metrics")[0] == 401
    service.close()


class Slow:
    """Holds the engine while a test looks."""

    def __init__(self, service: Service) -> None:
        self.go = threading.Event()
        real = service.engine._answer

        def answer(jobs: Any, worker: int) -> None:
            assert self.go.wait(30)
            real(jobs, worker)

        service.engine._answer = answer


def test_a_full_queue_says_when_to_come_back(served: list[Served]) -> None:
    service = Service(served, queue=4)
    slow, url = Slow(service), f"{service.url}/v1/predict"
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(predict, service, "run", ["a"])
        while service.engine.line.waiting or not service.engine.alive:
            time.sleep(0.01)
        time.sleep(0.1)
        waiting = pool.submit(predict, service, "run", ["b", "c", "d"])
        while service.engine.line.waiting < 3:
            time.sleep(0.01)
        status, headers, told = call(url, {"adapter": "run", "inputs": ["e", "f"]})
        assert status == 429 and int(headers["retry-after"]) >= 1 and "full" in told["error"]["message"]
        slow.go.set()
        assert len(first.result()) == 1 and len(waiting.result()) == 3
    service.close()


def test_a_request_that_waits_too_long_and_one_whose_client_left(served: list[Served]) -> None:
    service = Service(served, request_seconds=0.3)
    slow = Slow(service)
    status, _, told = call(f"{service.url}/v1/predict", {"adapter": "run", "inputs": ["a"]})
    assert status == 504 and "too long" in told["error"]["message"]
    body = json.dumps({"adapter": "run", "inputs": ["gone"]}).encode()
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2]))) as left:
        head = f"POST /v1/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        left.sendall(head.encode() + body)
    slow.go.set()
    assert predict(service, "run", ["after"])
    service.close()


def test_accepted_requests_are_answered_when_it_ends(served: list[Served]) -> None:
    service = Service(served)
    slow = Slow(service)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(predict, service, name, ["Timu"]) for name in CHOOSING]
        time.sleep(0.5)
        service.server.should_exit = True
        time.sleep(0.2)
        slow.go.set()
        assert all(len(one.result()) == 1 for one in asked)
    service.thread.join(20)
    assert not service.thread.is_alive() and not service.engine.alive


def test_adapters_that_leave_the_weights_alone_are_answered_side_by_side(served: list[Served]) -> None:
    """Passes of two workers at the same time give the answers of one after the other; others have the model for themselves."""
    engine, draw = Engine(served, queue=1000), random.Random(3)
    places = [n for n, one in enumerate(served) if not one.generates]
    items = {n: served[n].predictor.encode(_examples(served[n], TEXTS)) for n in places}
    wanted = {(n, k): engine.submit(n, [items[n][k]], 60).result(30)[0] for n in places for k in range(len(TEXTS))}
    kinds = {type(served[n].predictor.adapted.method).__name__: bool(served[n].copies) for n in places}
    assert kinds == {
        "PrefixTuning": True, "SoftPrompt": True, "LlamaAdapter": True, "LoRA": False, "FullFineTuning": False
    }  # fmt: skip
    together, real = [0], engine._answer

    def answer(jobs: Any, worker: int) -> None:
        together.append(len(engine.line._running))
        real(jobs, worker)

    engine._answer = answer  # type: ignore[method-assign]
    asked = [(draw.choice(places), draw.randrange(len(TEXTS))) for _ in range(300)]
    futures = [engine.submit(n, [items[n][k]], 60) for n, k in asked]
    for (n, k), future in zip(asked, futures, strict=True):
        assert future.result(60)[0] == pytest.approx(wanted[n, k], rel=1e-5), served[n].name
    assert max(together) == 2, "two passes ran at the same time"
    assert engine.close(30)


@pytest.mark.parametrize(
    ("threads", "attention", "passes"), [(1, "sdpa", 1), (2, "sdpa", 2), (16, "eager", 2), (16, "flex_attention", 1)]
)
def test_two_passes_at_a_time_where_threads_and_attention_allow_them(
    threads: int, attention: str, passes: int, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    base = load_model(str(tiny_folder), attention=attention)
    assert adapters._concurrent_passes(base) == passes


def test_one_bad_request_does_not_spoil_its_company(served: list[Served]) -> None:
    engine = Engine(served, queue=100)
    one = served[0]
    good = one.predictor.encode(_examples(one, ["Timu", "Bei"]))
    bad = [good[0].__class__(good[0].prompt, (10**9,), good[0].target, good[0].choices)]
    futures = [engine.submit(0, [good[0]], 60), engine.submit(0, bad, 60), engine.submit(1, [good[1]], 60)]
    assert len(futures[0].result(30)) == 1 and len(futures[2].result(30)) == 1
    assert futures[1].exception(30) is not None
    assert engine.close(30)


def _examples(one: Served, texts: list[str]) -> Any:
    from polyprefix.prediction.rows import examples_of, read_questions

    return examples_of(read_questions(texts, one.predictor.task), one.predictor.task, "eng_Latn")


def test_no_text_is_logged(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        predict(service, "run", ["Siri yangu"])
        call(f"{service.url}/v1/predict", {"adapter": "run", "inputs": [{"x": "Siri yangu"}]})
    assert "Siri" not in caplog.text


def test_runs_that_cannot_be_served_together(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="NAME=FOLDER"):
        named([str(folders["run"]), str(folders["run"] / "adapter")])
    other = tmp_path / "other"
    other.mkdir()
    for path in folders["prefix"].iterdir():
        text = path.read_bytes()
        (other / path.name).write_bytes(
            text.replace(b"tiny-gemma3", b"tiny-gemma4") if path.suffix == ".json" else text
        )
    with pytest.raises(AdapterError, match="process of its own"):
        load(named([str(folders["run"]), str(other)]), settings())
