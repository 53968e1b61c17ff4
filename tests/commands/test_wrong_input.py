"""Law: a wrong task file or data set ends in exit status 2 and one line with its place, in under two seconds, before a heavy library loads.

All cases run in one process, one after the other, so that a library that any of them loads shows in all that follow.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HEAVY = ("torch", "transformers", "datasets", "pandas", "scipy", "sklearn")
CODE = """
import io, json, sys, time
from contextlib import redirect_stderr, redirect_stdout
from polyprefix.cli import main
found = {}
for name, words in json.load(open(sys.argv[1])).items():
    sys.argv, err, start, status = ["polyprefix", *words], io.StringIO(), time.perf_counter(), 0
    with redirect_stderr(err), redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as end:
            status = end.code
    loaded = [module for module in %r if module in sys.modules]
    found[name] = [status, err.getvalue(), time.perf_counter() - start, loaded]
print(json.dumps(found))
"""
TASK = """task_type: classification
template: "Text: {text}\\nTopic:"
labels: [sport, money]
columns: {answer: topic, id: key}
files: {test: "test.{language}.csv", train: train.csv}
"""
ROWS = "key,text,topic\n1,a goal,sport\n2,a bank,money\n"
SOUND = {
    "task.yaml": TASK,
    "test.en.csv": ROWS,
    "test.sw.csv": "key,text,topic\n1,bao,sport\n2,benki,money\n",
    "train.csv": "key,text,topic\n" + "".join(f"t{n},text {n},{('sport', 'money')[n % 2]}\n" for n in range(20)),
}
SPAN = """task_type: span
template: "{context}\\n{question}\\nAnswer:"
files: {test: test.en.csv}
"""
RUN = ("run", "--task", "HERE", "--model", "gemma-3-270m", "--out", "HERE/runs")
CHECK = ("check", "HERE")
NEW = ("new-task", "HERE/test.en.csv", "--no-ask", "--out", "HERE/new")


def task(old: str, new: str) -> dict[str, str]:
    assert old in TASK
    return {"task.yaml": TASK.replace(old, new)}


Case = tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]
CASES: dict[str, Case] = {
    # what is wrong: (files that differ from the sound ones, the command, words of the message)
    "no task file": ({"task.yaml": None}, ("run", "--task", "HERE/task.yaml", "--model", "gemma-3-270m"), ("task.yaml", "no such file")),
    "not YAML": ({"task.yaml": "task_type: [\n"}, RUN, ("task.yaml:", "not YAML")),
    "a list": ({"task.yaml": "- a\n"}, RUN, ("task.yaml", "list")),
    "task type misspelt": (task("classification", "clasification"), RUN, ("task.yaml:1", "did you mean 'classification'")),
    "key misspelt": (task("template", "tempalte"), RUN, ("task.yaml:2", "did you mean 'template'", "key 'template'")),
    "no template": (task('template: "Text: {text}\\nTopic:"\n', ""), RUN, ("key 'template'", "found nothing")),
    "template without columns": (task("{text}", "text"), RUN, ("task.yaml:2", "at least one name of a column")),
    "template with the answer": (task("{text}", "{text} {topic}"), RUN, ("'topic'", "a question without its answer")),
    "brace that never ends": (task("{text}", "{text"), RUN, ("task.yaml:2", "braces")),
    "labels that are one": (task("[sport, money]", "[sport]"), RUN, ("key 'labels'", "at least 2")),
    "labels alike": (task("[sport, money]", "[sport, sport]"), RUN, ("task.yaml:3", "differ")),
    "file not there": (task("train.csv", "trian.csv"), RUN, ("task.yaml:5", "no file", "trian.csv")),
    "no file like it": (task("test.{language}.csv", "tests.{language}.csv"), RUN, ("no file like tests.{language}.csv",)),
    "language of a file": ({"test.swahilli.csv": ROWS}, RUN, ("test.swahilli.csv", "Swahili")),
    "language twice": ({"test.swh_Latn.csv": ROWS}, RUN, ("test.swh_Latn.csv", "one file a language")),
    "no such column": (task("answer: topic", "answer: topics"), RUN, ("test.en.csv:1", "no such column", "did you mean 'topic'")),
    "label of no list": ({"test.en.csv": ROWS.replace("money", "mony")}, RUN, ("test.en.csv:3", "'mony'", "did you mean 'money'")),
    "text that is empty": ({"test.sw.csv": "key,text,topic\n1,,sport\n"}, RUN, ("test.sw.csv:2, column 'text'", "found nothing")),
    "id twice": ({"test.en.csv": ROWS.replace("2,", "1,")}, RUN, ("test.en.csv:3, column 'key'", "test.en.csv:2")),
    "cells too many": ({"test.en.csv": ROWS + "3,one, two,sport\n"}, RUN, ("test.en.csv:4", "4 cells")),
    "quote that never ends": ({"test.en.csv": ROWS + '3,"one,sport\n'}, RUN, ("test.en.csv:4", "quotes in pairs")),
    "another encoding": ({"test.en.csv": "key,text,topic\n1,Müller,sport\n".encode("latin-1")}, RUN, ("test.en.csv:2", "UTF-8")),
    "empty file": ({"test.en.csv": ""}, RUN, ("test.en.csv", "no rows")),
    "header alone": ({"test.en.csv": "key,text,topic\n"}, RUN, ("test.en.csv", "no rows")),
    "column twice": ({"test.en.csv": "key,text,text,topic\n1,a,b,sport\n"}, RUN, ("test.en.csv:1", "'text' twice")),
    "JSON of one line": (
        {**task("train.csv", "train.jsonl"), "train.jsonl": '{"key": 1, "text": "a", "topic": "sport"}\n{"key": 2\n'},
        RUN, ("train.jsonl:2", "no JSON"),
    ),
    "another kind of file": ({**task("train.csv", "train.xlsx"), "train.xlsx": "x"}, RUN, ("train.xlsx", ".jsonl or .csv or .parquet")),
    "damaged Parquet": ({**task("train.csv", "train.parquet"), "train.parquet": "PAR1"}, RUN, ("train.parquet", "no Parquet")),
    "rows out of step": ({"test.sw.csv": "key,text,topic\n1,benki,money\n2,bao,sport\n"}, RUN, ("test.sw.csv:2", "another answer")),
    "training is the test": ({"train.csv": ROWS}, RUN, ("files.train",)),
    "no training rows": (task(", train: train.csv", ""), RUN, ("key 'files.train'", "rows to learn from")),
    "no training in the language": ({}, (*RUN, "--source-languages", "sw"), ("Swahili", "--source-languages")),
    "answer outside the context": (
        {"task.yaml": SPAN, "test.en.csv": "context,question,answer\nA b c,Which?,d\n"}, CHECK,
        ("test.en.csv:2, column 'answer'", "letter by letter"),
    ),
    "a list as text": (
        {"task.yaml": SPAN, "test.en.csv": "context,question,answer\nA b c,Which?,\"['b']\"\n"}, CHECK, ("answer_format",),
    ),
    "check of an unknown language": ({}, (*CHECK, "--languages", "fi"), ("Finnish",)),
    "check of an unknown task": ({}, ("check", "xnly"), ("did you mean 'xnli'",)),
    "new task of no file": ({}, ("new-task", "HERE/none.csv"), ("none.csv", "No such file")),
    "new task, column misspelt": ({}, (*NEW, "--answer", "topics"), ("did you mean 'topic'",)),
    "new task, language": ({}, (*NEW, "--language", "swahilli"), ("Swahili",)),
    "new task, task type": ({}, (*NEW, "--type", "classify"), ("did you mean 'classification'",)),
    "new task, no options": ({}, (*NEW, "--type", "multiple-choice"), ("at least two", "option_a")),
    "new task, other option": (
        {"test.en.csv": "q,option_a,option_b,answer\nWhich?,x,y,third\n"}, NEW, ("'third'", "option_a, option_b"),
    ),
    "new task, no text": ({"test.en.csv": "key,text,topic\n1,,sport\n2,,money\n"}, NEW, ("--question",)),
    "new task, name in braces": ({"test.en.csv": "key,my.text,topic\n1,a,sport\n2,b,money\n"}, NEW, ("'my.text'", "letters and digits")),
    "new task, a folder in use": ({"new/x": "x"}, (*NEW, "--type", "generation"), ("new", "--out")),
}  # fmt: skip


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Case -> exit status, standard error, seconds, and the heavy libraries that were loaded by then."""
    place = tmp_path_factory.mktemp("wrong")
    commands = {}
    for number, (name, (files, words, _)) in enumerate(CASES.items()):
        folder = place / str(number)
        for file, content in {**SOUND, **files}.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is not None:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        commands[name] = [word.replace("HERE", str(folder)) for word in words]
    (place / "cases.json").write_text(json.dumps(commands))
    environment = {key: value for key, value in os.environ.items() if key != "POLYPREFIX_HUB"}
    done = subprocess.run(
        [sys.executable, "-c", CODE % (HEAVY,), str(place / "cases.json")],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    found: dict[str, list[Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", CASES)
def test_one_line_says_what_is_wrong(name: str, answers: dict[str, list[Any]]) -> None:
    status, err, seconds, loaded = answers[name]
    assert status == 2, err
    assert err.startswith("polyprefix: ") and err.count("\n") == 1, err
    for words in CASES[name][2]:
        assert words in err
    assert seconds < 2 and not loaded


def test_the_sound_files_are_sound(polyprefix: Any, tmp_path: Path) -> None:
    for file, content in SOUND.items():
        (tmp_path / file).write_text(content)
    status, out, err = polyprefix("check", tmp_path, "--json")
    assert status == 0, err
    found = json.loads(out)
    assert sum(found["counts"]["eng_Latn"].values()) == 22
    assert found["counts"]["swh_Latn"] == {"test": 2} and len(found["prompts"]) == 3
