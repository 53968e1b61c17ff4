"""Laws of training in several languages: the asked mixture, the same share of validation, and ids that never cross."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polyprefix as pp
from polyprefix.adapters.registry import resolve
from polyprefix.config import RunConfig
from polyprefix.data.select import evaluation_subset, training_sample
from polyprefix.errors import ConfigError, DataError, LanguageError
from polyprefix.recipe import run
from polyprefix.results.files import read_result
from polyprefix.settings import validate
from polyprefix.study.file import Study
from polyprefix.study.grid import cells
from polyprefix.tasks import registry
from polyprefix.tasks._source_languages import with_source_languages
from polyprefix.tasks.base import Source, Task
from polyprefix.text.batches import steps
from polyprefix.text.mixture import apportion, shares
from polyprefix.text.prepare import Examples, load_examples

ROWS = st.dictionaries(st.sampled_from("abcde"), st.integers(1, 3000), min_size=1)
CODES = ("eng_Latn", "hin_Deva", "swh_Latn", "tha_Thai")


def config(task: Task, **more: Any) -> RunConfig:
    given = validate(RunConfig, {"model": "m", "task": task.info.name, "train_size": None, **more}, "run")
    return with_source_languages(resolve(given), task)


def made(seed: int, *, parallel: bool = True, english: bool = True) -> pp.Task:
    """A task with random rows in up to four languages: ids come in any split, as files of one's own have them."""
    rng, rows = random.Random(seed), []
    for split, most in (("train", 60), ("validation", 20), ("test", 20)):
        for code in CODES if english else CODES[1:]:
            for number in rng.sample(range(120), rng.randint(12, most)):
                row = {
                    "text": f"{split} {code} {number}",
                    "label": "yn"[number % 2],
                    "language": code,
                    "id": f"i{number}",
                }
                rows.append({**row, "split": split})
    frame = pd.DataFrame(rows)
    return pp.Task.from_pandas(frame, task_type="classification", labels=["y", "n"], id="id", parallel=parallel)


def read(task: Task, **more: Any) -> Examples:
    return load_examples(task, config(task, **more), Source())


@settings(max_examples=200, deadline=None)
@given(ROWS, st.sampled_from([1.0, 2.0, 5.0, math.inf]), st.none() | st.integers(1, 4000))
def test_counts_have_the_asked_shares_to_within_one_example(
    rows: dict[str, int], temperature: float, size: int | None
) -> None:
    wanted = shares(rows, temperature)
    counts = apportion(rows, wanted, size)
    total = sum(counts.values())
    for one, other in pairwise(rows):
        assert wanted[one] / wanted[other] == pytest.approx((rows[one] / rows[other]) ** (1 / temperature))
    assert sum(wanted.values()) == pytest.approx(1) and total <= (size or sum(rows.values()))
    for code, count in counts.items():
        assert 0 <= count <= rows[code] and abs(count - total * wanted[code]) < 1 + 1e-6
    if size is None:  # one more example would repeat a row of some language, or break the shares
        assert any((total + 1) * wanted[code] > rows[code] - 1e-6 for code in rows)
        assert temperature != 1 or counts == rows


@pytest.mark.parametrize(("sampling", "tau"), [("size", 1.0), ("equal", math.inf), ("temperature", 3.0)])
def test_batches_have_the_asked_mixture(sampling: str, tau: float) -> None:
    task = made(1)
    sources = ("eng_Latn", "hin_Deva", "swh_Latn")
    examples = read(task, source_languages=sources, source_sampling=sampling, source_temperature=3.0)
    tested = task.test_ids(Source())
    rows = {c: sum(e.id not in tested for e in task.examples("train", c, Source())) for c in sources}
    powers = {c: 1.0 if sampling == "equal" else rows[c] ** (1 / tau) for c in sources}
    wanted, count = {c: powers[c] / sum(powers.values()) for c in sources}, len(examples.train)
    assert len(set(rows.values())) > 1
    seen = Counter(examples.train[i].language for step in steps(count, 8, 3 * count, seed=0) for i in step)
    for code in sources:  # whole passes see each example equally often
        assert abs(seen[code] / seen.total() - wanted[code]) < 1 / count + 1e-6
    order = [[examples.train[i].language for i in step] for step in steps(count, 8, 200, seed=0)]
    assert sum(len(set(languages)) > 1 for languages in order) > 190  # and hardly any batch is of one language


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.booleans(), st.data())
def test_ids_never_cross(seed: int, english: bool, equal: bool, data: st.DataObject) -> None:
    """A trained id is in no validation and no test set of any language, also of languages that this run does not read."""
    task = made(seed, english=english)
    known = list(task.train_languages())
    sources = data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True))
    targets = [code for code in known if code not in sources]
    few = {"target_languages": targets, "target_size": 1} if targets and english else {}
    try:
        examples = read(
            task, source_languages=sources, source_sampling="equal" if equal else "size", languages=[], seed=seed, **few
        )
    except DataError as error:  # all of a language's rows cross: said in one line
        assert "ids" in str(error)
        return
    if sources == ["eng_Latn"] and not few:  # keeps every row that it always had
        return
    trained = {example.id for example in examples.train}
    tested = {e.id for code in task.languages() for e in task.examples("test", code, Source())}
    assert trained.isdisjoint(tested)
    assert trained.isdisjoint(example.id for example in examples.validation)
    assert tested.isdisjoint(example.id for example in examples.validation)
    assert {e.language for e in examples.train} == {*sources, *few.get("target_languages", ())}


def test_ids_of_a_task_that_is_not_parallel_are_of_their_language() -> None:
    examples = read(made(3, parallel=False), source_languages=["eng_Latn", "hin_Deva"])
    assert {e.id.partition("/")[0] for e in examples.train} == {"eng_Latn", "hin_Deva"}


def test_one_source_reads_what_english_alone_read() -> None:
    """To the last example and in the same order, with no word about it."""
    task = registry.get("terms")
    settings = config(task, train_size=30, seed=3)
    examples = load_examples(task, settings, Source())
    everything = task.examples("train", "eng_Latn", Source())
    assert examples.train == training_sample(everything, 30, 3)
    validation = task.examples("validation", "eng_Latn", Source())
    assert examples.validation == evaluation_subset(validation, settings.train.validation_size)
    assert not any("Training examples" in note for note in examples.notes)


def test_validation_has_the_same_share_of_each_source_language() -> None:
    task = registry.get("terms")
    examples = read(task, source_languages="en,hi,sw", languages=[], train={"validation_size": 20})
    assert Counter(e.language for e in examples.validation) == {"eng_Latn": 7, "hin_Deva": 7, "swh_Latn": 6}
    assert any("Validation examples: 7 in English, 7 in Hindi, 6 in Swahili." in note for note in examples.notes)


def test_target_rows_come_on_top_and_the_seed_draws_them() -> None:
    task = registry.get("terms")
    few = {"target_languages": "sw,th", "target_size": 5, "languages": [], "train_size": 12}
    first, second = (read(task, seed=seed, **few) for seed in (0, 1))
    assert Counter(e.language for e in first.train) == {"eng_Latn": 12, "swh_Latn": 5, "tha_Thai": 5}
    assert {e.id for e in first.train if e.language == "swh_Latn"} != {
        e.id for e in second.train if e.language == "swh_Latn"
    }
    assert {e.language for e in first.validation} == {"eng_Latn"}
    assert any("few-shot training rows: 5 in Swahili, 5 in Thai" in note for note in first.notes)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"source_languages": "en,swahili,sw"}, "'swahili' and 'sw' are both Swahili"),
        ({"source_languages": "yo"}, r"has no training data in Yoruba \(yor_Latn\), only in English \(eng_Latn\), Hindi"),
        ({"source_languages": "swahilli"}, "did you mean Swahili"),
        ({"source_languages": []}, "source_languages: none"),
        ({"source_languages": "en,sw", "target_languages": "sw", "target_size": 2}, "Swahili .* is a source language too"),
        ({"source_languages": "en,sw", "train_size": 1}, "gives no example of"),
        ({"target_languages": "sw", "target_size": 5000}, r"target_size 5000: task has \d+ training rows in Swahili"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_one_line(more: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, DataError, LanguageError), match=message) as error:
        read(made(5), **more)
    assert "\n" not in str(error.value)


def test_a_benchmark_names_the_languages_it_trains_in() -> None:
    with pytest.raises(LanguageError, match=r"xquad has no training data in Hindi \(hin_Deva\), only in English"):
        config(registry.get("xquad"), source_languages="hi")
    with pytest.raises(LanguageError, match="only in English"):
        config(registry.get("xnli", "lm-eval"), source_languages="hi", protocol="lm-eval")


def test_the_base_model_has_one_run_beside_every_source_language() -> None:
    task = registry.get("terms")
    base = {"method": "none"}
    plain = config(task, **base).run_id()
    assert plain == resolve(RunConfig(model="m", task="terms", method=base["method"])).run_id()
    assert config(task, source_languages="hi,sw", source_sampling="equal", **base).run_id() == plain
    assert config(task, target_languages="sw", target_size=5, **base).run_id() == plain
    one, other = (
        config(task, source_languages="hi", languages=words, **base) for words in ("sw,th", ["Swahili", "tha_Thai"])
    )
    assert one.run_id() == other.run_id() and one.languages == ("hin_Deva", "swh_Latn", "tha_Thai")
    disjoint = config(task, source_languages="hi", eval_ids="disjoint", **base)
    assert disjoint.source_languages == ("hin_Deva",) and disjoint.test_size(source=True) is None


def test_settings_that_decide_nothing_make_no_other_run() -> None:
    task = registry.get("terms")
    assert config(task, source_sampling="equal").run_id() == config(task).run_id()
    two = config(task, source_languages=["English", "Hindi"])
    assert two.run_id() == config(task, source_languages="en,hin_Deva", source_temperature=2).run_id()
    assert two.run_id() != config(task, source_languages="en,hi", source_sampling="equal").run_id()


def test_a_run_without_english(tiny_folder: Path, tmp_path: Path) -> None:
    settings = RunConfig(
        model=str(tiny_folder), task="terms", method={"name": "prefix", "length": 2}, source_languages="hi,sw",
        languages="th,yo", eval_size=3, train_size=8,
        train={"steps": 1, "batch_size": 4, "validation_size": 4},
    )  # fmt: skip
    trained, base = (read_result(folder) for folder in run(settings, out=tmp_path, beside_base=True))
    assert list(trained.scores)[:2] == ["hin_Deva", "swh_Latn"] and "eng_Latn" not in trained.scores
    assert trained.scores.keys() == base.scores.keys()
    assert trained.config["source_languages"] == ["hin_Deva", "swh_Latn"] and base.config["source_languages"] == []


def test_source_languages_are_an_axis_of_a_study_and_the_base_model_has_one_cell() -> None:
    study = validate(
        Study,
        {
            "base": {"task": "terms", "model": "gemma-3-270m", "languages": "all"},
            "axes": {"method": ["none", "prefix"], "source_languages": ["en", "hi,sw", "sw"]},
        },
        "study",
    )
    found = cells(study, "study")
    trained = [cell.config.source_languages for cell in found if cell.config.trains]
    assert trained == [("eng_Latn",), ("hin_Deva", "swh_Latn"), ("swh_Latn",)]
    assert len(found) == 4


def test_an_adapter_says_what_it_learned_from_and_python_trains_as_the_command_does(
    tiny_folder: Path, tmp_path: Path, polyprefix: Callable[..., tuple[int, str, str]]
) -> None:
    settings = {"steps": 1, "batch_size": 4, "validation_size": 2}
    asked = {"source_languages": "hi,en", "target_languages": "sw", "target_size": 3, "train_size": 6}
    model = pp.load_model(str(tiny_folder))
    adapted = pp.train(model, pp.load_task("terms"), pp.PrefixTuning(length=2), progress=False, **asked, **settings)
    result = pp.evaluate(adapted, pp.load_task("terms"), ["th"], eval_size=2, progress=False)
    assert list(result.record.scores) == ["hin_Deva", "eng_Latn", "tha_Thai"]
    saved = result.save(tmp_path / "runs")
    assert saved.folder is not None
    table = pp.load_results(tmp_path / "runs").examples
    told = dict(zip(table["language"], table["training"], strict=True))
    assert told == {"hin_Deva": "source", "eng_Latn": "source", "tha_Thai": "zero-shot"}
    words = ("--task", "terms", "--languages", "sw,ur", "--eval-size", 2, "--out", tmp_path / "again", "--json")
    status, out, error = polyprefix("evaluate", saved.folder / "adapter", *words)
    assert status == 0, error
    rows = {row["language"]["code"]: row["training"] for row in json.loads(out)["rows"]}
    assert rows == {"hin_Deva": "source", "eng_Latn": "source", "swh_Latn": "few-shot, 3 rows", "urd_Arab": "zero-shot"}


def test_a_language_that_cannot_be_trained_ends_the_command_at_once(
    polyprefix: Callable[..., tuple[int, str, str]],
) -> None:
    status, _, error = polyprefix("run", "--task", "xquad", "--model", "gemma-3-270m", "--source-languages", "sw")
    assert status == 2 and error.count("\n") == 1 and "no training data in Swahili (swh_Latn), only in English" in error
