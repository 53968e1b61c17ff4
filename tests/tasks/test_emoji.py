"""Law: no emoji is in training and in test, in any language; English spelling gives nothing away; the data is what its tool makes."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path
from time import perf_counter

import pytest
from tools import emoji_data

from polyprefix import languages
from polyprefix.errors import LanguageError
from polyprefix.models.load import load_model
from polyprefix.tasks import emoji
from polyprefix.tasks._codes import BELEBELE, SIB200
from polyprefix.tasks._names import resembles, split_of
from polyprefix.tasks.base import ENGLISH, Source
from polyprefix.tasks.emoji import DATA, LABELS, TASK
from polyprefix.types import Split

SOURCE = Source()
CODES = TASK.languages()
FOREIGN = [code for code in CODES if code != ENGLISH]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
ROOT = Path(__file__).parents[2]


def names(code: str) -> dict[str, str]:
    """Id -> name, of all splits."""
    return {e.id: e.inputs["name"] for split in SPLITS for e in TASK.examples(split, code, SOURCE)}


def test_it_reaches_languages_that_no_benchmark_has() -> None:
    assert CODES[0] == ENGLISH and len(CODES) == len(set(CODES)) >= 100
    rows = [languages.get(code) for code in CODES]
    assert len({row.family for row in rows}) >= 15 and len({row.script for row in rows}) >= 25
    assert {"chr_Cher", "kaz_Arab", "uzn_Cyrl"} & set(CODES) and set(CODES) - {*SIB200, *BELEBELE}


@pytest.mark.parametrize("code", CODES)
def test_an_item_has_one_split_and_one_class_everywhere(code: str) -> None:
    english = names(ENGLISH)
    for split in SPLITS:
        examples = TASK.examples(split, code, SOURCE)
        assert examples and len({e.id for e in examples}) == len(examples)
        assert {e.id for e in examples} <= english.keys()
        assert all(split_of(e.id) == split and e.id.startswith(f"{e.references[0]}:") for e in examples)


@pytest.mark.parametrize("code", FOREIGN)
def test_no_name_is_english_or_occurs_twice(code: str) -> None:
    """Twice in one language would be the same question in training and in test, or with two answers."""
    english, own = names(ENGLISH), names(code)
    assert not any(resembles(name, english[item]) for item, name in own.items())
    assert len({name.casefold() for name in own.values()}) == len(own)
    assert not any(set(name) & set("\t\n\ufe0f") or name != name.strip() for name in own.values())


def test_every_class_has_test_items_in_every_language() -> None:
    for code in CODES:
        counts = Counter(e.references[0] for e in TASK.examples("test", code, SOURCE))
        assert set(counts) == set(LABELS) and min(counts.values()) >= emoji_data.FEWEST
        assert counts.total() >= emoji_data.FEWEST_TEST


def test_the_header_says_how_many_english_items_there_are() -> None:
    for split in SPLITS:
        assert TASK.info.splits[split].endswith(f"{len(TASK.examples(split, ENGLISH, SOURCE))} in English")


def test_the_page_says_how_much_there_is() -> None:
    page = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    tested, trained = (sorted(len(TASK.examples(split, code, SOURCE)) for code in CODES) for split in ("test", "train"))
    assert f"| `emoji` | {len(CODES)} | {tested[0]} to {tested[-1]} | one of {len(LABELS)} groups |" in page
    assert f"{len(TASK.examples('train', ENGLISH, SOURCE))} ({trained[0]} to {trained[-1]} in every language) |" in page
    assert f"| `emoji` | all {len(CODES)} | the same: {trained[0]} to {trained[-1]} names |" in page
    assert all(f"    {line}\n" in page for line in emoji.TEMPLATE.splitlines())


@pytest.mark.real
@pytest.mark.parametrize("model", ["gemma-3-270m", "smollm2-135m"])
def test_labels_are_single_tokens(model: str) -> None:
    tokenizer = load_model(model).tokenizer
    ids = [tokenizer(f" {label}", add_special_tokens=False)["input_ids"] for label in LABELS]
    assert all(len(row) == 1 for row in ids) and len(set(map(tuple, ids))) == len(LABELS)


def test_no_item_is_a_near_copy_of_another() -> None:
    """A man and a woman beside a person, clock faces, keycaps and flags are left out."""
    for item in names(ENGLISH):
        points = [int(point, 16) for point in item.partition(":")[2].split("-")]
        assert len(points) == 1 or not emoji_data.MALE_OR_FEMALE & set(points)
        assert not set(emoji_data.CLOCKS) & set(points) and emoji_data.KEYCAP not in points
        assert not any(0x1F1E6 <= point <= 0x1F1FF or 0x1F3FB <= point <= 0x1F3FF for point in points)


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ({"food:1": "Pera", "food:2": "pera"}, 1),  # the first by hash, once
        ({"food:1": "pera", "objects:2": "Pera"}, 0),  # in two classes
        ({"food:1": "pera", "objects:2": "taa"}, 2),
    ],
)
def test_a_name_that_occurs_twice(found: dict[str, str], kept: int) -> None:
    assert len(emoji_data.unambiguous(found)) == kept
    assert emoji_data.unambiguous(found) == emoji_data.unambiguous(dict(reversed(found.items())))


def test_a_language_loads_at_once() -> None:
    emoji._names.cache_clear()
    emoji._examples.cache_clear()
    start = perf_counter()
    TASK.examples("test", "swh_Latn", SOURCE)
    assert perf_counter() - start < 0.5


def test_the_package_has_the_data_and_its_licence() -> None:
    """Declared as package data, so sdist and wheel hold it."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = declared["tool"]["setuptools"]["package-data"]["polyprefix"]
    for path in (DATA, DATA.with_name("LICENSE.md")):
        assert any(fnmatch(path.relative_to(ROOT / "src" / "polyprefix").as_posix(), one) for one in patterns)
    licence = DATA.with_name("LICENSE.md")
    assert licence.relative_to(ROOT).as_posix() in declared["project"]["license-files"]
    assert "UNICODE LICENSE V3" in licence.read_text(encoding="utf-8") and DATA.stat().st_size < 5e6
    assert f"CLDR {emoji.CLDR}" in licence.read_text(encoding="utf-8")


def test_the_prompt_does_not_show_the_emoji() -> None:
    for example in TASK.examples("test", ENGLISH, SOURCE):
        prompt = TASK.prompt(example)
        assert prompt.text == emoji.TEMPLATE.format(name=example.inputs["name"]) and len(prompt.choices) == len(LABELS)


def test_baselines_know_english_and_nothing_of_other_scripts() -> None:
    chosen = [ENGLISH, "swh_Latn", "jpn_Jpan", "hin_Deva", "tha_Thai"]
    test = {code: TASK.examples("test", code, SOURCE) for code in chosen}
    scores = TASK.baselines(SOURCE, test)
    assert set(scores) == {"most frequent label", "character n-grams", "English words"}
    frequent = {code: score.value for code, score in scores["most frequent label"].items()}
    assert all(0.15 < value < 0.25 for value in frequent.values())
    for name in ("character n-grams", "English words"):
        assert scores[name][ENGLISH].value > 0.5
        assert all(scores[name][code].value < frequent[code] + 0.05 for code in chosen[1:])
    assert TASK.baselines(SOURCE, {}) == {}


def test_errors() -> None:
    with pytest.raises(LanguageError, match=r"emoji: no data in 'swh_Latin'; did you mean 'swh_Latn'"):
        TASK.examples("test", "swh_Latin", SOURCE)


def test_importing_the_task_loads_neither_torch_nor_sklearn() -> None:
    code = "import sys, polyprefix.tasks.emoji; print({'torch', 'sklearn', 'pandas', 'scipy'} & set(sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"
