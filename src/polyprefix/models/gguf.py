"""GGUF files: read by transformers once, then kept as safetensors with config and tokenizer in the cache.

transformers unpacks the quantised weights to float32. Its reading takes a minute for a vocabulary of 262k; the copy
opens in a second.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from polyprefix.errors import ModelError, first_line
from polyprefix.models import cache as model_cache
from polyprefix.models.decoders import refuse_other_than_decoders
from polyprefix.models.quiet import quiet_transformers
from polyprefix.safe_files import require_regular

log = logging.getLogger(__name__)

FEWEST_WORDS = 20
"""Of a vocabulary, to judge a tokenizer by."""
SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token")


def converted(path: Path, digest: str | None = None) -> tuple[Path, str]:
    """The converted folder of a GGUF file, and the file's SHA-256.

    Args:
        digest: the SHA-256 where it is known already.

    Raises:
        ModelError: if the file is no complete GGUF file, or not that of a causal decoder.
        OutputError: if the cache cannot be written.
    """
    check_magic(path)
    digest = digest or model_cache.remembered_sha256(path)
    return model_cache.build(digest, lambda folder: convert(path, folder)), digest


def check_magic(path: Path) -> None:
    """Raises ModelError if there is no such file, or if it does not begin as a GGUF file does."""
    try:
        require_regular(path)
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); give the path of a GGUF file") from None
    if start != b"GGUF":
        raise ModelError(
            f"{path}: not a GGUF file (it begins with {start!r}); give a GGUF file or a folder with config.json"
        )


def convert(path: Path, folder: Path) -> None:
    """Write config, float32 weights and tokenizer of a GGUF file into a folder.

    Raises:
        ModelError: if the file is damaged, or not that of a causal decoder.
    """
    if importlib.util.find_spec("gguf") is None:
        raise ModelError(f"{path}: reading GGUF files needs the gguf package; run: pip install 'polyprefix[gguf]'")
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    log.info("Converting %s, once; this takes about a minute", path.name)
    source: dict[str, Any] = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    with quiet_transformers(), _parsed_once():
        with _damage_as_model_error(path):
            config = AutoConfig.from_pretrained(**source)
        refuse_other_than_decoders(config, str(path))
        with _damage_as_model_error(path):
            tokenizer = AutoTokenizer.from_pretrained(**source)
            _frame_texts(tokenizer, _declared(path))
        _require_whole_words(tokenizer, path)
        with (
            _damage_as_model_error(path),
            redirect_stderr(StringIO()),
        ):  # a bar that transformers' own switch does not reach
            model = AutoModelForCausalLM.from_pretrained(**source, **_unpacked(), config=config, dtype="float32")
        # save_pretrained refuses a model that says it is quantised; its weights no longer are
        for holder in (model.config, model.generation_config):
            if hasattr(holder, "quantization_config"):
                del holder.quantization_config
        vars(model)["hf_quantizer"] = None
        try:
            model.save_pretrained(folder)
        except SafetensorError as error:  # a full disk, in the words of safetensors
            raise OSError(str(error)) from error
        _save_tokenizer(tokenizer, folder)


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer of a converted folder, left-padding.

    Straight from tokenizer.json: transformers' own loading parses that file five times (4.5 s instead of 1.5 s for 262k
    tokens).
    """
    from transformers import PreTrainedTokenizerFast

    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    template = folder / "chat_template.jinja"
    settings = {key: settings[key] for key in (*SPECIAL, "model_max_length") if settings.get(key) is not None}
    return PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        padding_side="left",
        chat_template=template.read_text(encoding="utf-8") if template.is_file() else None,
        **settings,
    )


def _declared(path: Path) -> dict[str, bool]:
    """What the file says of the tokens around a text: `bos` and `eos`, each true, false or not there."""
    fields = importlib.import_module("gguf").GGUFReader(path).fields
    found = {name: fields.get(f"tokenizer.ggml.add_{name}_token") for name in ("bos", "eos")}
    return {name: bool(field.contents()) for name, field in found.items() if field is not None}


def _frame_texts(tokenizer: Any, declared: dict[str, bool]) -> None:
    """Let texts begin and end with special tokens as the file says: which of them transformers adds depends on its version.

    (5.17 leaves out Gemma's beginning of text, which makes other answers; 5.23 does not.)
    """
    from tokenizers import processors

    ids = tokenizer("a")["input_ids"]
    found = {"bos": ids[:1] == [tokenizer.bos_token_id], "eos": ids[-1:] == [tokenizer.eos_token_id]}
    wanted = found | {
        name: there for name, there in declared.items() if getattr(tokenizer, f"{name}_token") is not None
    }
    if wanted == found:
        return
    tokens = {name: getattr(tokenizer, f"{name}_token") for name, there in wanted.items() if there}
    begin, end = ([tokens[name]] if name in tokens else [] for name in ("bos", "eos"))
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=[*begin, "$A", *end],
        pair=[*begin, "$A", *end, *[f"{token}:1" for token in begin], "$B:1", *[f"{token}:1" for token in end]],
        special_tokens=[(token, tokenizer.convert_tokens_to_ids(token)) for token in dict.fromkeys([*begin, *end])],
    )


def _require_whole_words(tokenizer: Any, path: Path) -> None:
    """A vocabulary's own words are one token each. Where most fall to pieces, transformers took the file for another kind of tokenizer.

    (5.17 reads the merge ranks of Gemma's vocabulary as probabilities: 155 of 749 words are whole; 5.18 and later have all of them.)

    Raises:
        ModelError: if most do.
    """
    words = {token: tokenizer.decode([token]) for token in range(0, len(tokenizer), max(1, len(tokenizer) // 1000))}
    words = {token: word for token, word in words.items() if len(word.strip()) > 1 and word.strip().isalpha()}
    whole = sum(tokenizer(word, add_special_tokens=False)["input_ids"] == [token] for token, word in words.items())
    if len(words) >= FEWEST_WORDS and whole < len(words) / 2:
        raise ModelError(
            f"{path}: transformers {importlib.import_module('transformers').__version__} reads its tokenizer wrongly (of {len(words)} words "
            f"of the vocabulary {len(words) - whole} are cut to pieces); install a newer one: pip install --upgrade transformers"
        )


def _unpacked() -> dict[str, Any]:
    """Newer transformers can keep some architectures' weights packed; here they are wanted as plain numbers."""
    kind = getattr(importlib.import_module("transformers.utils.quantization_config"), "GgufConfig", None)
    return {"quantization_config": kind(dequantize=True)} if kind else {}


def _save_tokenizer(tokenizer: Any, folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    # by the general class, so that what is written holds everything and no class builds it anew from its vocabulary
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        padding_side="left",
        chat_template=tokenizer.chat_template,
        model_max_length=tokenizer.model_max_length,
        **{name: token for name in SPECIAL if (token := getattr(tokenizer, name)) is not None},
    ).save_pretrained(folder)


@contextmanager
def _damage_as_model_error(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # tokenizers raises nothing more special, and a damaged file can raise anything
        reason = first_line(error)
        raise ModelError(
            f"{path}: damaged, or of a kind that transformers does not read ({reason}); fetch it again or take another"
        ) from error


@contextmanager
def _parsed_once() -> Iterator[None]:
    """transformers parses the whole file three times (config, weights, tokenizer); let all three share one reader."""
    gguf: Any = importlib.import_module("gguf")
    original = gguf.GGUFReader
    gguf.GGUFReader = cache(_fast_reader(original))
    try:
        yield
    finally:
        gguf.GGUFReader = original


def _fast_reader(original: Any) -> Any:
    import numpy as np

    class PlainReader(original):
        """Slices a plain array: slicing a memmap builds a memmap, which doubles the time for a vocabulary's strings."""

        @property
        def data(self) -> Any:
            return self._plain

        @data.setter
        def data(self, mapped: Any) -> None:
            self._plain = np.asarray(mapped)

    return PlainReader
