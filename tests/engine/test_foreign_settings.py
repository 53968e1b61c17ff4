"""Laws: a model's own generation settings decide no answer, and nothing that is no number is scored or written."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GenerationConfig

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.registry import build
from polyprefix.errors import ModelError
from polyprefix.evaluation.generation import generate_until
from polyprefix.evaluation.loglikelihood import loglikelihood
from polyprefix.models.generation import ignored_note, ignored_settings
from polyprefix.testing.tiny import tiny_base
from polyprefix.text.tokens import encode
from polyprefix.types import Prompt

SETTINGS: dict[str, Any] = {
    "repetition_penalty": 1.8, "no_repeat_ngram_size": 2, "encoder_repetition_penalty": 1.5, "min_length": 40,
    "min_new_tokens": 6, "max_length": 3, "max_new_tokens": 1, "max_time": 1e-9, "stop_strings": ["e"], "do_sample": True,
    "num_beams": 3, "num_return_sequences": 2, "early_stopping": True, "use_cache": False, "cache_implementation": "static",
    "temperature": 9.0, "top_k": 2, "top_p": 0.1, "min_p": 0.3, "bad_words_ids": [[n] for n in range(60, 150)],
    "forced_bos_token_id": 70, "forced_eos_token_id": 71, "suppress_tokens": list(range(4, 150)),
    "begin_suppress_tokens": list(range(4, 150)), "sequence_bias": [[[80], 90.0]], "guidance_scale": 3.0,
    "length_penalty": 5.0, "exponential_decay_length_penalty": [1, 3.0], "remove_invalid_values": True,
    "renormalize_logits": True, "output_scores": True, "output_logits": True, "return_dict_in_generate": True,
    "prompt_lookup_num_tokens": 3, "output_attentions": True, "output_hidden_states": True, "prefill_chunk_size": 2,
    "token_healing": True, "low_memory": True, "penalty_alpha": 0.6, "watermarking_config": {"bias": 5.0},
}  # fmt: skip
"""Every setting of transformers that can change an answer, at a value that would."""
QUESTIONS = [
    Prompt(str(n), "eng_Latn", f"Question {n}: {'x' * n} Answer:", " yes", stop=("\n",), max_new_tokens=8)
    for n in range(5)
]


def model() -> AdaptedModel:
    return attach(tiny_base("gemma3"), build({"name": "none"}))


def answers(adapted: AdaptedModel) -> list[str]:
    return generate_until(adapted, encode(QUESTIONS, adapted.base.tokenizer, 256), None)


MODEL = model()
WANTED = answers(MODEL)


@settings(max_examples=60, deadline=None)
@given(st.sets(st.sampled_from(sorted(SETTINGS)), min_size=1))
def test_settings_of_the_base_decide_nothing(names: set[str]) -> None:
    """Alone and together; and they are the model's own again afterwards."""
    own = GenerationConfig(pad_token_id=0, bos_token_id=1, eos_token_id=2)
    for name in names:
        setattr(own, name, SETTINGS[name])
    MODEL.model.generation_config = own
    assert answers(MODEL) == WANTED
    assert MODEL.model.generation_config is own
    assert ignored_settings(MODEL.model).keys() == names


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_alone(name: str) -> None:
    adapted = model()
    setattr(adapted.model.generation_config, name, SETTINGS[name])
    assert answers(adapted) == WANTED
    assert name in str(ignored_note(adapted.model))


def test_settings_in_a_models_config_do_not_stop_it() -> None:
    adapted = model()
    adapted.model.config.repetition_penalty = 3.0
    adapted.model.config.num_beams = 4
    assert answers(adapted) == WANTED


def test_special_tokens_are_the_models_own() -> None:
    adapted = model()
    first = encode(QUESTIONS[:1], adapted.base.tokenizer, 256)[0]
    likeliest = int(adapted(torch.tensor([first.ids])).logits[0, -1].argmax())
    adapted.model.generation_config.eos_token_id = [2, likeliest]
    assert answers(adapted)[0] == adapted.base.tokenizer.decode([likeliest]).strip() or answers(adapted)[0] == ""
    assert ignored_note(model().model) is None


# --- numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_neither_ranked_nor_written(value: float) -> None:
    adapted = model()
    adapted.model.get_input_embeddings().weight.data[10:] = value
    ranked = [
        Prompt("7", "swh_Latn", "Question: x Answer:", " yes", choices=(" yes", " no")),
    ]
    with pytest.raises(ModelError, match=r"log-likelihoods of example 7 \(swh_Latn\) are not finite") as error:
        loglikelihood(adapted, encode(ranked, adapted.base.tokenizer, 256), None)
    assert "\n" not in str(error.value)
    with pytest.raises(ModelError, match="logits of an answer are not finite"):
        answers(adapted)
