"""Bad input ends in exit status 2 and one line that says where, what was found and what to do; nothing that looks like a result is left.

The kinds: unknown names (command, option, task, method, model, language, setting), a corrupt GGUF file, an empty file, a full disk,
no network, a missing label, an empty text, a text of 100,000 characters, a language without data.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Command = Callable[..., tuple[int, str, str]]
ROWS = {"validation": 2490, "test": 5010, "train": 20}


def complains(answer: tuple[int, str, str], *words: str) -> None:
    status, _, err = answer
    lines = [line for line in err.splitlines() if line.startswith("polyprefix: ")]
    assert status == 2, err
    assert len(lines) == 1 and "Traceback" not in err, err
    for word in words:
        assert word in lines[0], lines[0]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rnu"], "'run'"),
        (["run", "--modle", "x"], "--model"),
        (["run", "--model", "gemma-3-270m", "--task", "tersm"], "'terms'"),
        (["run", "--model", "gemma-3-270m", "--task", "terms", "--method", "prefixx"], "'prefix'"),
        (["run", "--model", "gemma-3-270n", "--task", "terms"], "'gemma-3-270m'"),
        (["run", "--model", "gemma-3-270m", "--task", "terms", "--languages", "swahilli"], "Swahili"),
        (["run", "--model", "gemma-3-270m", "--task", "terms", "--set", "train.epoch=1"], "'train.epochs'"),
        (["run", "--model", "gemma-3-270m", "--task", "terms", "--set", "method.lenght=1"], "'length'"),
        (["run", "--model", "gemma-3-270m", "--task", "terms", "--eval-size", "many"], "many"),
        (["run", "--model", "gemma-3-270m", "--task", "xnli", "--languages", "Finnish"], "Finnish"),
        (
            ["run", "--model", "gemma-3-270m", "--task", "xquad", "--shots", "2", "--shot-language", "target"],
            "only in eng_Latn",
        ),
        (
            ["run", "--model", "gemma-3-270m", "--task", "mgsm", "--shots", "2", "--shot-language", "swahilli"],
            "Swahili",
        ),
        (["run", "--model", "gemma-3-270m", "--task", "xnli", "--protocol", "lm_eval"], "'lm-eval'"),
        (["run", "--model", "gemma-3-270m", "--task", "terms", "--protocol", "lm-eval"], "only belebele, mgsm"),
        (["list", "langauges"], "languages"),
    ],
)
def test_unknown_names(polyprefix: Command, words: list[str], expected: str, tmp_path: Path) -> None:
    more = ["--out", tmp_path] if words[0] == "run" else []
    complains(polyprefix(*words, *more), expected)
    assert not list(tmp_path.iterdir())


def test_a_corrupt_gguf_file(polyprefix: Command, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF\x03\x00\x00\x00" + b"\xff" * 5000)
    complains(polyprefix("run", "--model", path, "--task", "terms", "--languages", "sw"), "model.gguf")


def test_empty_files(polyprefix: Command, tmp_path: Path) -> None:
    for name in ("model.gguf", "run.yaml"):
        (tmp_path / name).write_bytes(b"")
    complains(
        polyprefix("run", "--model", tmp_path / "model.gguf", "--task", "terms", "--languages", "sw"), "model.gguf"
    )
    complains(polyprefix("run", tmp_path / "run.yaml"), "run.yaml")


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk(polyprefix: Command, tiny_folder: Path, full_disk: Path) -> None:
    words = ("run", "--model", tiny_folder, "--task", "terms", "--languages", "sw", "--eval-size", "9", "--train-size", "8", "--no-base",
             "--set", "method.length=64", "--set", "train.epochs=1", "--set", "train.validation_size=0")  # fmt: skip
    complains(polyprefix(*words, "--out", full_disk / "runs"), "No space left on device", "free")
    assert not list(full_disk.glob("runs/terms-*"))


def test_no_network_and_no_mirror(
    polyprefix: Command, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("POLYPREFIX_HUB", raising=False)
    complains(polyprefix("run", "--model", tiny_folder, "--task", "xnli", "--languages", "sw"), "--hub DIR", "connect")
    complains(polyprefix("run", "--model", "org/some-model", "--task", "terms", "--languages", "sw"), "org/some-model")
    complains(
        polyprefix("run", "--model", tiny_folder, "--task", "xnli", "--hub", tmp_path / "nowhere"), "no such folder"
    )


def mirror(place: Path, **wrong: object) -> Path:
    """A mirror of XNLI in English with one wrong value in row 7 of the test split."""
    for split, count in ROWS.items():
        rows = {
            "premise": [f"premise number {i}" for i in range(count)],
            "hypothesis": [f"hypothesis number {i}" for i in range(count)],
            "label": [i % 3 for i in range(count)],
        }
        if split == "test":
            for column, value in wrong.items():
                rows[column][7] = value
        folder = place / "facebook" / "xnli" / "en"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(rows), folder / f"{split}-00000-of-00001.parquet")
    (place / "facebook" / "xnli" / "README.md").write_text(
        "---\nconfigs:\n- config_name: en\n  data_files:\n"
        + "".join(f"  - split: {split}\n    path: en/{split}-*.parquet\n" for split in ROWS)
        + "---\n"
    )
    return place


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"label": -1}, "label"),
        ({"premise": ""}, "premise"),
        ({"hypothesis": "   "}, "hypothesis"),
        ({"premise": "word " * 20_000}, "tokens, the model reads at most"),
    ],
)
def test_bad_rows(polyprefix: Command, tiny_folder: Path, tmp_path: Path, wrong: dict, expected: str) -> None:
    hub = mirror(tmp_path / "hub", **wrong)
    answer = polyprefix(
        "run", "--model", tiny_folder, "--task", "xnli", "--languages", "en", "--hub", hub, "--out", tmp_path / "runs"
    )
    complains(answer, expected)
    assert "7" in answer[2]
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_a_language_without_data(polyprefix: Command, tiny_folder: Path, tmp_path: Path) -> None:
    hub = mirror(tmp_path / "hub")
    complains(polyprefix("run", "--model", tiny_folder, "--task", "xnli", "--languages", "sw", "--hub", hub), "sw")
    complains(polyprefix("run", "--model", tiny_folder, "--task", "terms", "--languages", "Tibetan"), "Tibetan")


def test_a_damaged_adapter(polyprefix: Command, tmp_path: Path) -> None:
    complains(polyprefix("evaluate", tmp_path, "--task", "terms"), "adapter.json")
    (tmp_path / "adapter.json").write_text('{"format": 1}')
    complains(polyprefix("evaluate", tmp_path, "--task", "terms"), "damaged")
