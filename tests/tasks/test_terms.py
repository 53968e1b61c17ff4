"""Law: no term is in training and in test; classes are balanced; English spelling gives nothing away."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path
from statistics import mean

import pytest

from polyprefix import languages
from polyprefix.errors import DataError, LanguageError
from polyprefix.tasks import _names, terms
from polyprefix.tasks import _terms_names as names
from polyprefix.tasks.base import Source, Task
from polyprefix.tasks.terms import TASK
from polyprefix.types import Prediction

SOURCE = Source()
CODES = TASK.languages()
FOREIGN = [code for code in CODES if code != "eng_Latn"]


def test_it_is_a_task_with_english_first_and_languages_of_the_table() -> None:
    assert isinstance(TASK, Task)
    assert CODES[0] == "eng_Latn"
    assert len(CODES) == len(set(CODES))
    for code in CODES:
        assert languages.get(code)
    assert not {"hat_Latn", "hin_Latn"} & set(CODES)  # CLDR fills them from another language


def test_it_reaches_beyond_well_known_families_and_scripts() -> None:
    rows = [languages.get(code) for code in CODES]
    assert len(rows) >= 75
    assert len({row.family for row in rows}) >= 15
    assert len({row.script for row in rows}) >= 26


def test_locales_take_no_name_from_a_parent() -> None:
    from babel import localedata

    for code, locale in names.LOCALES.items():
        with Path(localedata.resolve_locale_filename(locale)).open("rb") as file:
            own = pickle.load(file)
        for item, name in names._cldr_names(code).items():
            label, _, key = item.partition(":")
            assert own[names._CLDR_TABLES[label]][key] == name


def test_training_and_test_share_no_term_in_any_language() -> None:
    learned = {e.id for split in ("train", "validation") for e in TASK.examples(split, "eng_Latn", SOURCE)}
    assert learned
    for code in CODES:
        assert learned.isdisjoint(e.id for e in TASK.examples("test", code, SOURCE)), code
    train, validation = ({e.id for e in TASK.examples(s, "eng_Latn", SOURCE)} for s in ("train", "validation"))
    assert train.isdisjoint(validation)


@pytest.mark.parametrize("code", CODES)
def test_classes_are_balanced_in_every_prefix_of_whole_turns(code: str) -> None:
    examples = TASK.examples("test", code, SOURCE)
    assert len(examples) >= 3 * terms.MIN_PER_CLASS
    assert len({e.id for e in examples}) == len(examples)
    for size in (3, 30, 60, len(examples)):
        counts = Counter(e.references[0] for e in examples[:size])
        assert set(counts.values()) == {size // 3} and len(counts) == 3


def test_english_training_data_is_balanced_too() -> None:
    for split, least in (("train", 200), ("validation", 60)):
        counts = Counter(e.references[0] for e in TASK.examples(split, "eng_Latn", SOURCE))  # type: ignore[arg-type]
        assert len(counts) == 3 and len(set(counts.values())) == 1 and counts.total() >= least


def test_ids_mean_the_same_everywhere_and_follow_the_english_order() -> None:
    english = [e.id for e in TASK.examples("test", "eng_Latn", SOURCE)]
    for code in FOREIGN:
        for label in names.CLASSES:
            own = [e.id for e in TASK.examples("test", code, SOURCE) if e.references == (label,)]
            assert set(own) <= set(english)
            assert own == [item for item in english if item in set(own)]
            assert all(item.startswith(f"{label}:") for item in own)
    swahili = {e.id: e.inputs["name"] for e in TASK.examples("test", "swh_Latn", SOURCE)}
    german = {e.id: e.inputs["name"] for e in TASK.examples("test", "deu_Latn", SOURCE)}
    assert len(swahili.keys() & german.keys()) > 20


@pytest.mark.parametrize("code", FOREIGN)
def test_no_english_name_survives(code: str) -> None:
    english = names.english_terms()
    owners: dict[str, set[str]] = {}
    for example in TASK.examples("test", code, SOURCE):
        name = example.inputs["name"]
        assert not names.resembles(name, english[example.id])
        assert not set("()0123456789") & set(name)
        owners.setdefault(name.casefold(), set()).add(example.references[0])
    assert all(len(classes) == 1 for classes in owners.values())


@pytest.mark.parametrize(
    ("name", "english", "alike"),
    [
        ("Kenya", "Kenya", True), ("KENYA", "kenya", True), ("Kénya", "Kenya", True), ("i-Kenya", "Kenya", True),
        ("Zulu", "isiZulu", True), ("Albanie", "Albania", True), ("Ujerumani", "Germany", False),
        ("ケニア", "Kenya", False), ("Deutschland", "Germany", False),
    ],
)  # fmt: skip
def test_resemblance(name: str, english: str, alike: bool) -> None:
    assert names.resembles(name, english) is alike


def test_the_cheap_bounds_change_no_verdict() -> None:
    from difflib import SequenceMatcher

    english = names.english_terms()
    for item, name in list(names._cldr_names("fra_Latn").items())[:300]:
        if item in english:
            a, b = _names._fold(name), _names._fold(english[item])
            slow = a in b or b in a or SequenceMatcher(None, a, b, autojunk=False).ratio() >= _names.SIMILAR
            assert names.resembles(name, english[item]) is slow


def test_splits_depend_on_the_id_alone() -> None:
    frozen = {"country:KE": "test", "language:sw": "train", "currency:KES": "test"}  # earlier results rest on it
    assert {item: names.split_of(item) for item in frozen} == frozen
    shares = Counter(names.split_of(f"language:{i}") for i in range(4000))
    assert 0.46 < shares["test"] / 4000 < 0.54
    assert 0.36 < shares["train"] / 4000 < 0.44


def test_another_process_sees_the_same_items() -> None:
    code = (
        "from polyprefix.tasks.terms import TASK; from polyprefix.tasks.base import Source;"
        "print(*[e.id for e in TASK.examples('test', 'amh_Ethi', Source())])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert output == [e.id for e in TASK.examples("test", "amh_Ethi", SOURCE)]


@pytest.mark.parametrize("code", ["eng_Latn", "swh_Latn", "arb_Arab", "zho_Hans"])
def test_prompt_shares_its_beginning_and_does_not_end_in_the_answer(code: str) -> None:
    prompts = [TASK.prompt(e) for e in TASK.examples("test", code, SOURCE)]
    assert prompts[0].choices == (" country", " language", " currency")
    for prompt in prompts:
        assert prompt.text.startswith("Is the name a country, a language or a currency?\nName: ")
        assert prompt.text.endswith("\nAnswer:")
        assert prompt.target in prompt.choices
        assert not prompt.text.rstrip().endswith(prompt.target.strip())
    assert len({p.text for p in prompts}) > 0.95 * len(prompts)


def predictions(code: str, wrong: bool = False) -> list[Prediction]:
    turn = dict(zip(names.CLASSES, (*names.CLASSES[1:], names.CLASSES[0]), strict=True))
    return [
        Prediction(e.id, code, e.references, f" {turn[e.references[0]] if wrong else e.references[0]}")
        for e in TASK.examples("test", code, SOURCE)
    ]


def test_gold_scores_one_and_wrong_scores_zero() -> None:
    gold, wrong = TASK.score(predictions("swh_Latn")), TASK.score(predictions("swh_Latn", wrong=True))
    assert set(gold) == set(wrong) == set(TASK.info.metrics)
    for metric in TASK.info.metrics:
        assert gold[metric].value == 1
        assert wrong[metric].value == 0
        assert gold[metric].n == len(TASK.examples("test", "swh_Latn", SOURCE))
    assert TASK.correctness(Prediction("country:KE", "swh_Latn", ("country",), "")) == 0


def test_one_constant_answer_scores_chance() -> None:
    constant = [Prediction(p.example_id, p.language, p.references, "country") for p in predictions("jpn_Jpan")]
    assert TASK.score(constant)["accuracy"].value == pytest.approx(TASK.info.chance)


def test_the_result_names_the_release_of_the_data() -> None:
    import babel

    source = Source()
    TASK.examples("test", "eng_Latn", source)
    TASK.examples("test", "fra_Latn", source)
    assert source.notes == [f"names from Babel {babel.__version__}"]


def test_errors() -> None:
    with pytest.raises(LanguageError, match=r"terms: no data in 'swh_Latin'; did you mean 'swh_Latn'"):
        TASK.examples("test", "swh_Latin", SOURCE)


def test_too_few_names_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "foreign_terms", lambda language, split: {"country:KE": "x"})
    terms._examples.cache_clear()
    with pytest.raises(DataError, match="0 test items per class in som_Latn, fewer than 20"):
        TASK.examples("test", "som_Latn", SOURCE)
    terms._examples.cache_clear()


def test_baselines_know_english_best_and_other_scripts_only_by_length() -> None:
    chosen = ["eng_Latn", "deu_Latn", "fin_Latn", "quy_Latn", "jpn_Jpan", "amh_Ethi", "hin_Deva", "ell_Grek"]
    test = {code: TASK.examples("test", code, SOURCE)[:60] for code in chosen}
    scores = TASK.baselines(SOURCE, test)
    assert set(scores) == {"character n-grams", "length and spaces"}
    ngrams = {code: score.value for code, score in scores["character n-grams"].items()}
    assert set(ngrams) == set(chosen)
    assert all(score.n == 60 for score in scores["character n-grams"].values())
    assert ngrams["eng_Latn"] > 0.5
    assert mean(ngrams[code] for code in chosen[4:]) < 0.42  # no letter in common: near chance
    assert TASK.baselines(SOURCE, test) == scores
    assert TASK.baselines(SOURCE, {}) == {}


def test_importing_the_task_loads_neither_torch_nor_sklearn() -> None:
    code = "import sys, polyprefix.tasks.terms; print({'torch', 'sklearn', 'pandas', 'scipy'} & set(sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"
