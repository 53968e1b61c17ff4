"""Law: a tokenizer that does not fit its model, or that loses text, is served or refused in one line."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from polyprefix.config import RunConfig
from polyprefix.errors import DataError, UserError
from polyprefix.recipe import run
from polyprefix.testing.tiny import tiny_model, tiny_tokenizer
from polyprefix.text.tokens import _rows, encode
from polyprefix.types import Prompt


def words(*vocabulary: str, **special: str) -> PreTrainedTokenizerFast:
    """Whole words in lower case, everything else unknown: nothing that is read can be written back."""
    names = ["<pad>", "<unk>", "<eos>", *vocabulary]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(names)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", **special)


def letters() -> PreTrainedTokenizerFast:
    """Letters alone: white space and marks are dropped."""
    vocabulary = ["<pad>", "<unk>", "<eos>", *"abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(models.WordLevel({c: n for n, c in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(Regex("[^a-z]"), "")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(""), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="<eos>")


TOKENIZERS: dict[str, Any] = {
    "words": lambda: words("sport", "money", "headline", "answer", "what", "is", eos_token="<eos>"),
    "words without an end": lambda: words("sport", "money", "what"),
    "only unknown words": lambda: words(eos_token="<eos>"),
    "letters": letters,
    "more tokens than embeddings": lambda: words(*(f"w{n}" for n in range(400)), "sport", "money", eos_token="<eos>"),
}


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("kind", [*TOKENIZERS, "bytes"])
def test_ids_are_those_that_the_tokenizer_gives_when_it_is_called(kind: str, special: bool) -> None:
    """Also of one that was saved with truncation and padding, which a call without them ignores."""
    tokenizer = tiny_tokenizer() if kind == "bytes" else TOKENIZERS[kind]()
    tokenizer.split_special_tokens = special
    texts = ["what is sport", "", "money <eos> money </s> what what what", "ราคา 🙂"]
    wanted = copy.deepcopy(tokenizer)(texts)["input_ids"]
    tokenizer.backend_tokenizer.enable_truncation(2)
    tokenizer.backend_tokenizer.enable_padding(length=9)
    assert _rows(tokenizer, texts) == wanted and max(map(len, wanted)) > 2


def test_a_tokenizer_with_a_way_of_its_own_is_called() -> None:
    class Own(PreTrainedTokenizerFast):
        def __call__(self, texts: Any, **given: Any) -> Any:
            return {"input_ids": [[7]] * len(texts)}

    assert _rows(Own(tokenizer_object=letters().backend_tokenizer), ["a", "b"]) == [[7], [7]]


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("task_type", ["classification", "generation"])
def test_it_is_served_or_refused_in_one_line(kind: str, task_type: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    tiny_model("llama-mha").save_pretrained(folder)
    TOKENIZERS[kind]().save_pretrained(folder)
    (tmp_path / "train.csv").write_text(
        "text,answer\n" + "".join(f"what is {n},{['sport', 'money'][n % 2]}\n" for n in range(8))
    )
    (tmp_path / "en.csv").write_text("text,answer\nWhat Is That?,sport\nanother line,money\n")
    labels = "labels: [sport, money]\n" if task_type == "classification" else "context: text\n"
    (tmp_path / "task.yaml").write_text(
        f"task_type: {task_type}\ntemplate: 'Headline: {{text}} Answer:'\n{labels}"
        "files: {train: train.csv, validation: train.csv, test: {en: en.csv}}\n"
    )
    config = RunConfig(
        model=str(folder), task=str(tmp_path / "task.yaml"), method={"name": "soft-prompt", "length": 3},
        train={"steps": 1, "batch_size": 4, "validation_size": 2}, text={"max_length": 16},
    )  # fmt: skip
    try:
        [finished] = run(config, out=tmp_path / "runs")
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert (finished / "result.json").is_file()


def test_a_token_without_an_embedding_is_named() -> None:
    tokenizer = words("sport", "money", "what", "is")
    prompt = Prompt("7", "swh_Latn", "what is", " money", choices=(" sport", " money"))
    with pytest.raises(
        DataError, match=r"example 7 \(swh_Latn\): the token 'is' has the id 6, and the model has 5 embeddings"
    ):
        encode([prompt], tokenizer, 64, vocabulary=5)
    assert encode([prompt], tokenizer, 64, vocabulary=7)


def test_a_prompt_of_nothing_is_named() -> None:
    prompt = Prompt("7", "swh_Latn", "", " money", choices=(" sport", " money"))
    with pytest.raises(DataError, match="the prompt is empty after tokenisation"):
        encode([prompt], words("sport", "money"), 64)
