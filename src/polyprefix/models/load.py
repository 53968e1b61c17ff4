"""Load a base model: frozen, in eval mode, on its device, with a tokenizer that pads on the left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from polyprefix.errors import ModelError, first_line
from polyprefix.models import gguf
from polyprefix.models.decoders import ADVICE, refuse_other_than_decoders
from polyprefix.models.facts import known_by
from polyprefix.models.foreign import check_folder, check_shape
from polyprefix.models.head import embedding_table
from polyprefix.models.identity import ModelIdentity, identify
from polyprefix.models.locate import Place, advice, locate
from polyprefix.models.quantized import choose_quantization
from polyprefix.models.quiet import quiet_transformers
from polyprefix.models.runtime import (
    bound_compiled_products,
    choose_attention,
    choose_device,
    choose_dtype,
    compute_deterministically,
)
from polyprefix.network import hub_answers
from polyprefix.safe_files import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

UNLIMITED = 1 << 30


@dataclass(frozen=True)
class BaseModel:
    """A frozen language model with its tokenizer."""

    name: str
    """As it was asked for."""
    model: PreTrainedModel
    """In eval mode; no parameter has a gradient."""
    tokenizer: PreTrainedTokenizerBase
    """Pads on the left, and always has a padding token."""
    identity: ModelIdentity
    wrapped: bool = False
    """Whether the caller loaded the model, so that its name says nothing of its weights."""

    @property
    def vocabulary(self) -> int:
        """V, the number of tokens that the model has embeddings for; a tokenizer may have more."""
        return embedding_table(self.model).shape[0]

    @property
    def max_length(self) -> int:
        """The most tokens that the model reads; a very large number where its positions know no end."""
        config = self.model.config.get_text_config()
        limits = (getattr(config, key, None) for key in ("max_position_embeddings", "n_positions", "max_seq_len"))
        return next((limit for limit in limits if isinstance(limit, int) and limit > 0), UNLIMITED)


def load_model(
    name: str, *, device: str = "auto", dtype: str = "auto", attention: str = "auto", quantize: str = "none",
    allow_pickle: bool = False, deterministic: bool = False,
) -> BaseModel:  # fmt: skip
    """Load a causal decoder.

    Args:
        name: an embedded model, a GGUF file, a folder that `save_pretrained` wrote, or an id of the Hub.
        device: `auto` (CUDA where there is one), `cpu`, `cuda`, `cuda:1`, ...
        dtype: precision of the weights: `float32`, `bfloat16`, or `auto`: bfloat16 where the device computes in it.
        attention: transformers' implementation; `auto` is sdpa where that computes what the model needs.
        allow_pickle: also weights in pickled form (`.bin`), which can run code.
        quantize: `4bit` or `8bit` to round frozen weights while loading; `none` leaves them as the files have them.
        deterministic: have CUDA give the same bits at every run; it holds for the whole process.

    Raises:
        ModelError: if the model cannot be found or read, is no causal decoder, or brings code of its own, or if
            bitsandbytes is needed and missing.
        ConfigError: if the machine has no such device, or the model cannot use that attention.
        OutputError: if a GGUF file has to be converted and the cache cannot be written.
    """
    bound_compiled_products()
    on = choose_device(device)
    if deterministic and on.startswith("cuda"):
        compute_deterministically()
    precision = choose_dtype(dtype, on)
    place = locate(name)
    if place.kind == "folder":
        check_folder(name, Path(place.where), allow_pickle)
    options: dict[str, Any] = {"trust_remote_code": False}
    if place.kind != "hub" or not hub_answers():
        options["local_files_only"] = True
    with quiet_transformers():
        config = _config(name, place, options)
        _plain_outputs(config)
        refuse_other_than_decoders(config, name)
        check_shape(name, config)
        quantization = choose_quantization(quantize, name, config, precision)
        with _explained(name):
            tokenizer = _tokenizer(place, options)
        options |= {**quantization, "dtype": precision} | ({} if allow_pickle else {"use_safetensors": True})
        model = _model(name, place, config, options, on, attention)
    resolve_padding_token(name, model, tokenizer)
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.pad_token_id = tokenizer.pad_token_id
    revision = place.revision or getattr(model.config, "_commit_hash", None)
    files = _weight_files(place, options)
    identity = identify(name, revision, model, files)
    if files and identity.weights:
        known_by(model, identity.weights)
    return BaseModel(name, model, tokenizer, identity)


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, without its weights; left-padding.

    Args:
        name: as `load_model`.

    Raises:
        ModelError: if the model cannot be found, or its tokenizer cannot be read.
        OutputError: if a GGUF file has to be converted and the cache cannot be written.
    """
    place = locate(name)
    if place.kind == "folder":
        check_folder(name, Path(place.where), allow_pickle=False)
    options = {"trust_remote_code": False} | (
        {} if place.kind == "hub" and hub_answers() else {"local_files_only": True}
    )
    with quiet_transformers(), _explained(name):
        tokenizer: PreTrainedTokenizerBase = _tokenizer(place, options)
    return tokenizer


def _weight_files(place: Place, options: dict[str, Any]) -> list[Path]:
    """The safetensors files of a model on this machine; none where its weights come otherwise."""
    if place.kind != "hub":
        folder = Path(place.where)
    else:
        from transformers.utils import cached_file

        found = cached_file(place.where, "config.json", local_files_only=True)
        folder = Path(found).parent if found else Path()
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = set(read_json(index)["weight_map"].values())
        return [folder / name for name in sorted(names)]
    return [path for path in [folder / "model.safetensors"] if path.is_file()]


def _config(name: str, place: Place, options: dict[str, Any]) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(place.where, **options)
    except OSError as error:
        if place.kind != "hub":
            raise ModelError(f"model '{name}': {first_line(error)}; {advice(name)}") from error
        if "local_files_only" in options:
            raise ModelError(
                f"model '{name}': not on this machine, and the Hub does not answer; {advice(name)}"
            ) from error
        raise ModelError(
            f"model '{name}': not found on the Hub, or not open to you ({first_line(error)}); {advice(name)}"
        ) from error
    except Exception as error:  # values of the wrong type can raise anything in the class of a config
        if "trust_remote_code" in str(error):
            raise ModelError(f"model '{name}': brings code of its own, which is never run here; {ADVICE}") from None
        raise ModelError(
            f"model '{name}': config.json is not understood ({first_line(error)}); update transformers, or {ADVICE}"
        ) from error


def _tokenizer(place: Place, options: dict[str, Any]) -> Any:
    if place.kind == "converted":
        return gguf.read_tokenizer(Path(place.where))
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(place.where, padding_side="left", **options)


def _model(name: str, place: Place, config: Any, options: dict[str, Any], device: str, attention: str) -> Any:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    kind: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    kind = kind[0] if isinstance(kind, tuple) else kind
    options |= {"attn_implementation": choose_attention(attention, kind, config)}
    # placed while loading: a quantised model cannot be moved, and a large one would be in memory twice
    if device != "cpu" or "quantization_config" in options or getattr(config, "quantization_config", None):
        options |= {"device_map": {"": device}}
    with _explained(name):
        model, report = kind.from_pretrained(place.where, config=config, output_loading_info=True, **options)
    if absent := sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"]):
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise ModelError(
            f"model '{name}': the files hold no fitting weights for {absent[0]}{more}; fetch or save it again"
        )
    return model.eval().requires_grad_(False)


def _plain_outputs(config: Any) -> None:
    """Settings of what a forward pass returns, which a config.json may hold: ours, since answers are read from logits alone."""
    for part in {id(part): part for part in (config, config.get_text_config())}.values():
        part.return_dict, part.output_attentions, part.output_hidden_states = True, False, False


def resolve_padding_token(name: str, model: Any, tokenizer: Any) -> None:
    """A padding token within the vocabulary, on the left; padding is masked, so any will do, and nothing is resized.

    Raises:
        ModelError: if the tokenizer has no token for it.
    """
    V = model.get_input_embeddings().weight.shape[0]
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id >= V:
        if tokenizer.eos_token_id is None:
            raise ModelError(
                f"model '{name}': its tokenizer has neither a padding nor an end token; set eos_token in its folder"
            )
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except (
        Exception
    ) as error:  # files that are missing, damaged or too large raise anything, tokenizers plain Exception
        if "trust_remote_code" in str(error):
            raise ModelError(f"model '{name}': brings code of its own, which is never run here; {ADVICE}") from None
        if "safetensors" in str(error) and not isinstance(error, SafetensorError) and "no file named" in str(error):
            raise ModelError(
                f"model '{name}': has no weights in safetensors, and pickled ones can run code; "
                "convert it with save_pretrained, or set runtime.allow_pickle=true"
            ) from error
        raise ModelError(
            f"model '{name}': cannot be loaded ({first_line(error)}); check its files, or fetch it again"
        ) from error
