"""What this machine can run, and what is missing."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from polyprefix.data.hub import hub_from_environment
from polyprefix.errors import DataError
from polyprefix.models import embedded
from polyprefix.models.cache import cache_folder
from polyprefix.models.memory import available_memory
from polyprefix.models.runtime import computes_in_bfloat16
from polyprefix.network import hub_answers
from polyprefix.tasks import registry as tasks

Status = Literal["ok", "missing", "note"]
GB = 1e9
OPTIONAL = {
    "gguf": "pip install 'polyprefix[gguf]', to read GGUF files and embedded models",
    "bitsandbytes": "pip install 'polyprefix[quantized]', to load 4-bit and 8-bit models",
}
NEEDED = ("transformers", "datasets", "peft", "accelerate")
DATASET_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's report."""

    name: str
    status: Status
    """`ok`; `missing`: something cannot be done until it is fixed; `note`: good to know."""
    detail: str
    """What was found."""
    advice: str = ""
    """What to do; empty where there is nothing to do."""


def examine() -> list[Check]:
    """Look at everything once; takes a few seconds and changes nothing."""
    with ThreadPoolExecutor(1) as pool:
        network = pool.submit(hub_answers)  # may take its whole time limit, so meanwhile the rest
        checks = [
            Check("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
            *_torch(),
            *_memory(),
            *_packages(),
            *_embedded_models(),
            _cache(),
            *_mirror(),
        ]
        return [*checks, _network(network.result())]


def _torch() -> Iterator[Check]:
    import torch

    yield Check("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads of {os.cpu_count()} processors")
    for index in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(index)
        precision = "bfloat16" if computes_in_bfloat16(f"cuda:{index}") else "float32"
        yield Check(f"cuda:{index}", "ok", f"{gpu.name}, {gpu.total_memory / GB:.0f} GB, {precision}")
    if not torch.cuda.is_available():
        yield Check("cuda", "note", "no device", "models of a billion parameters and more are slow on a processor")
    if computes_in_bfloat16("cpu"):
        yield Check("bfloat16", "ok", "the processor computes in it")
    else:
        yield Check("bfloat16", "note", "the processor has neither AVX512_BF16 nor AMX, so its weights are float32")


def _memory() -> Iterator[Check]:
    if (memory := available_memory()) is not None:
        yield _enough("memory", memory, 4 * GB, "available", "close other programs: a small model trains in 4 GB")
    place = cache_folder()
    while not place.exists():
        place = place.parent
    yield _enough("disk", shutil.disk_usage(place).free, 3 * GB, f"free at {place}", "free some space")


def _enough(name: str, found: int, wanted: float, what: str, advice: str) -> Check:
    fine = found > wanted
    return Check(name, "ok" if fine else "note", f"{found / GB:.1f} GB {what}", _unless(fine, advice))


def _packages() -> Iterator[Check]:
    for name, advice in {**{name: f"pip install {name}" for name in NEEDED}, **OPTIONAL}.items():
        try:
            yield Check(name, "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Check(name, "missing" if name in NEEDED else "note", "not installed", advice)


def _embedded_models() -> Iterator[Check]:
    for model in embedded.EMBEDDED.values():
        if embedded.cached(model):
            yield Check(model.name, "ok", "converted, opens in seconds")
        elif embedded.installed(model):
            yield Check(model.name, "ok", "installed; its first start converts it, in about a minute")
        else:
            yield Check(model.name, "note", "not installed", model.install)


def _cache() -> Check:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        detail = f"{folder} cannot be written ({error.strerror})"
        return Check("cache", "missing", detail, "set POLYPREFIX_CACHE to another folder")
    return Check("cache", "ok", str(folder))


def _mirror() -> Iterator[Check]:
    try:
        hub = hub_from_environment()
    except DataError as error:
        yield Check("mirror", "missing", str(error), "unset POLYPREFIX_HUB, or give it a folder that exists")
        return
    if hub is None:
        yield Check("mirror", "note", "none; data comes from the Hub", "set POLYPREFIX_HUB to a folder to work offline")
        return
    yield Check("mirror", "ok", str(hub))
    for name in tasks.names():
        for dataset in DATASET_ID.findall(tasks.get(name).info.source):
            there = (hub / dataset).is_dir()
            status: Status = "ok" if there else "missing"
            detail = f"{dataset} is {'' if there else 'not '}in the mirror"
            yield Check(f"task {name}", status, detail, _unless(there, f"add {hub / dataset}, or unset POLYPREFIX_HUB"))


def _network(answers: bool) -> Check:
    if answers:
        return Check("network", "ok", "the Hub answers")
    advice = "embedded models, folders, GGUF files and a mirror (POLYPREFIX_HUB) work without it"
    return Check("network", "note", "the Hub does not answer", advice)


def _unless(fine: bool, advice: str) -> str:
    return "" if fine else advice
