"""Law: a GGUF file gives the model and tokenizer that are in it, and a damaged one is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.tiny_gguf import write_tiny_gguf

from polyprefix.errors import ModelError
from polyprefix.models import gguf
from polyprefix.models.load import load_model
from polyprefix.testing.tiny import tokens


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POLYPREFIX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_logits_are_those_of_the_model_in_the_file(tmp_path: Path) -> None:
    model = write_tiny_gguf(tmp_path / "tiny.gguf")
    base = load_model(str(tmp_path / "tiny.gguf"), device="cpu", dtype="float32")
    ids = tokens(2, 9)
    torch.testing.assert_close(base.model(ids).logits, model(ids).logits)
    assert base.identity.revision is not None and base.identity.revision.startswith("sha256:")
    text = "à la ab 北京"
    assert base.tokenizer.decode(base.tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    assert base.tokenizer.pad_token_id == 0


@pytest.mark.parametrize("bos", [None, True, False])
@pytest.mark.parametrize("eos", [None, True, False])
@pytest.mark.parametrize("of_transformers", ["", "<s> $A", "$A </s>", "<s> $A </s>"])
def test_texts_begin_and_end_as_the_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bos: bool | None, eos: bool | None, of_transformers: str
) -> None:
    """Law: whatever transformers makes of it; what the file does not say stays as transformers has it."""
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    read = AutoTokenizer.from_pretrained

    def another(*args: object, **kwargs: object) -> Any:
        tokenizer = read(*args, **kwargs)
        first, last = tokenizer.bos_token, tokenizer.eos_token
        pattern = of_transformers.replace("<s>", first).replace("</s>", last) or "$A"
        special = [(token, tokenizer.convert_tokens_to_ids(token)) for token in (first, last) if token in pattern]
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=pattern, special_tokens=special)
        return tokenizer

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", another)
    write_tiny_gguf(tmp_path / "tiny.gguf", bos=bos, eos=eos)
    tokenizer = load_model(str(tmp_path / "tiny.gguf"), device="cpu", dtype="float32").tokenizer
    ids = tokenizer("à la ab")["input_ids"]
    assert (ids[0] == tokenizer.bos_token_id) == ("<s>" in of_transformers if bos is None else bos)
    assert (ids[-1] == tokenizer.eos_token_id) == ("</s>" in of_transformers if eos is None else eos)
    assert tokenizer.decode(ids, skip_special_tokens=True) == "à la ab"


def test_a_tokenizer_that_cuts_the_words_of_its_vocabulary_is_refused(tmp_path: Path) -> None:
    """As transformers 5.17 reads Gemma's: merge ranks as the scores of a unigram model, in which short pieces are the likeliest."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    letters = [chr(97 + i) for i in range(26)]
    words = [a + b for a in letters for b in letters]
    scores = [-float(rank) for rank in range(len(letters) + len(words))]
    unigram = Tokenizer(models.Unigram(list(zip([*letters, *words], scores, strict=True))))
    bpe = Tokenizer(models.BPE({word: i for i, word in enumerate([*letters, *words])}, [(w[0], w[1]) for w in words]))
    gguf._require_whole_words(PreTrainedTokenizerFast(tokenizer_object=bpe), tmp_path)
    with pytest.raises(ModelError, match="reads its tokenizer wrongly"):
        gguf._require_whole_words(PreTrainedTokenizerFast(tokenizer_object=unigram), tmp_path)


def test_the_second_start_converts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "tiny.gguf")
    write_tiny_gguf(tmp_path / "tiny.gguf")
    first = load_model(path, device="cpu", dtype="float32")
    monkeypatch.setattr(gguf, "convert", lambda *_: pytest.fail("converted twice"))
    second = load_model(path, device="cpu", dtype="float32")
    assert second.identity == first.identity
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_changed_file_under_the_same_name_is_converted_again(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_tiny_gguf(path, seed=0)
    first = load_model(str(path), device="cpu", dtype="float32")
    write_tiny_gguf(path, seed=1)
    assert load_model(str(path), device="cpu", dtype="float32").identity.fingerprint != first.identity.fingerprint


@pytest.mark.parametrize("kept", [0, 3, 20, 200, 5_000, -1_000])
def test_a_truncated_file_is_refused_in_one_line(tmp_path: Path, root: Path, kept: int) -> None:
    path = tmp_path / "tiny.gguf"
    write_tiny_gguf(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError) as caught:
        load_model(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(root.glob("models/*/config.json"))


def test_what_is_no_gguf_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_text("hello, I am a text")
    with pytest.raises(ModelError, match="not a GGUF file"):
        load_model(str(tmp_path / "model.gguf"))
    with pytest.raises(ModelError, match="No such file"):
        load_model(str(tmp_path / "absent.gguf"))


def test_an_encoder_in_gguf_is_refused(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "bert.gguf", architecture="bert")
    with pytest.raises(ModelError, match="bert"):
        load_model(str(tmp_path / "bert.gguf"))
