"""The tables and charts of docs/performance.md from benchmarks/results/*.json: python -m benchmarks.page

Only what stands between the two marks of a section is written; the words around it are a person's. What has no result says "not measured".
"""

from __future__ import annotations

import argparse
import json
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu import LENGTHS
from benchmarks.rounds import ROOT
from benchmarks.shapes import SHAPES

PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "benchmarks" / "results"
CHARTS = ROOT / "docs" / "performance"
NOT_MEASURED = "not measured"
SETTINGS = {"same": "the same dtype and batch size", "own": "each at its defaults"}


def read(folder: Path, name: str) -> dict[str, Any] | None:
    """A result, or None."""
    path = folder / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def fill(page: str, section: str, text: str) -> str:
    """The page with a section's text replaced.

    Raises:
        ValueError: if the page has no such section.
    """
    pattern = re.compile(rf"(<!-- {section} -->\n).*?(<!-- /{section} -->)", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"no section '{section}': write <!-- {section} --> and <!-- /{section} --> where it belongs")
    return pattern.sub(lambda match: f"{match[1]}{text.rstrip()}\n{match[2]}", page)


def comparison(results: Sequence[dict[str, Any]], setting: str) -> str:
    """One table: a row for each measurement of each contestant, ours first, others with the ratio of their medians to ours."""
    rows = [
        "| measurement | tool | examples/s (least to most) | ours is faster | peak memory | ours takes | first step | machine |",
        "|" + " --- |" * 8,
    ]
    for result, letter in zip(results, letters([result["machine"] for result in results]), strict=True):
        chosen = [r for r in result["medians"] if r["setting"] == setting]
        ours = {(r["workload"], r["part"]): r for r in chosen if r["contestant"] == "polyprefix"}
        rows += [f"{_row(record, ours.get((record['workload'], record['part'])))} {letter} |" for record in chosen]
    return "\n".join(rows) if len(rows) > 2 else NOT_MEASURED


def _row(record: dict[str, Any], ours: dict[str, Any] | None) -> str:
    name = f"{record['workload']}, {'training' if record['part'] == 'train' else 'evaluation'}"
    if "error" in record:
        return f"| {name} | {record['contestant']} | fails: {record['error'].replace('|', '/')} | | | | |"
    speed, memory = record["examples_per_second"], record["peak_memory_bytes"]
    faster = less = ""
    if ours is not None and ours is not record and "error" not in ours:
        faster = f"{ours['examples_per_second']['median'] / speed['median']:.2f} times"
        less = f"{ours['peak_memory_bytes']['median'] / memory['median']:.2f} of it"
    first = f"{record['first_step_seconds']['median']:.1f} s" if "first_step_seconds" in record else ""
    span = f"{speed['median']:.3g} ({speed['least']:.3g} to {speed['most']:.3g})"
    return (
        f"| {name} | {record['contestant']} | {span} | {faster} | {memory['median'] / 1e9:.2f} GB | {less} | {first} |"
    )


def ceiling(results: Sequence[dict[str, Any]]) -> str:
    """What we reached of the machine's own matrix products."""
    rows = ["| measurement | MFU, of the measured peak | measured peak | padding |", "|" + " --- |" * 4]
    for result in results:
        for r in result["medians"]:
            if r["contestant"] == "polyprefix" and "mfu" in r and r["setting"] == "same":
                top = (
                    f"{r['peak_flops_per_second']['median'] / 1e9:,.0f} GFLOP/s" if "peak_flops_per_second" in r else ""
                )
                part = "training" if r["part"] == "train" else "evaluation"
                share, padding = r["mfu"]["median"], r["padding_share"]["median"]
                rows.append(f"| {r['workload']}, {part} | {share:.0%} | {top} | {padding:.1%} |")
    return "\n".join(rows) if len(rows) > 2 else NOT_MEASURED


def gpu(result: dict[str, Any] | None) -> str:
    """One row for each shape, length, part and tool."""
    rows = [
        "| shape | tokens of a text | part | tool | examples/s, median (least to most) | tokens/s | MFU | memory |",
        "|" + " --- |" * 8,
    ]
    found = {(r["workload"], r["part"], r["contestant"]): r for r in (result or {"medians": []})["medians"]}
    measured = {workload.partition(",")[0] for workload, _, _ in found}
    shapes = [shape for shape in SHAPES if shape != "tiny"]
    for shape in (one for one in shapes if one in measured):
        for length in LENGTHS:
            for part, tools in (
                ("train", ("polyprefix", "peft-trainer-grouped")),
                ("evaluate", ("polyprefix", "lm-eval")),
            ):
                for tool in tools:
                    figures = _gpu_figures(found.get((f"{shape}, {length} tokens", part, tool)))
                    name = "training" if part == "train" else "evaluation"
                    rows.append(f"| {shape} | {length} | {name} | {tool} | {figures} |")
    missing = [shape for shape in shapes if shape not in measured]
    return "\n".join([*rows, *(["", f"{NOT_MEASURED.capitalize()}: {', '.join(missing)}."] if missing else [])])


def _gpu_figures(record: dict[str, Any] | None) -> str:
    if record is None:
        return f"{NOT_MEASURED} | | |"
    if "error" in record:
        kind = "out of memory" if "OutOfMemory" in record["error"] else record["error"].replace("|", "/")
        return f"fails: {kind} | | |"
    speed = record["examples_per_second"]
    tokens = f"{record['tokens_per_second']['median']:,.0f}" if "tokens_per_second" in record else ""
    share = f"{record['mfu']['median']:.0%}" if "mfu" in record else ""
    median, least, most = (
        f"{v:,.0f}" if v >= 100 else f"{v:.3g}" for v in (speed[k] for k in ("median", "least", "most"))
    )
    spread = f"{median} ({least} to {most})"
    return f"{spread} | {tokens} | {share} | {record['peak_memory_bytes']['median'] / 1e9:.1f} GB"


def levers(result: dict[str, Any] | None) -> str:
    """What each saving should bring by its count of tokens and of useful operations, and what it brought."""
    if result is None:
        return NOT_MEASURED
    head = "| without | in | tokens computed, times | useful FLOPs, times | passes, times | seconds, times |"
    rows = [head, "|" + " --- |" * 6]
    for r in result["levers"]:
        with_it, without = r["counted"], r["counted_without"]
        computed = (without["tokens"] + without["padding"]) / (with_it["tokens"] + with_it["padding"])
        passes = without["passes"] / with_it["passes"]
        flops = without["flops"] / with_it["flops"]
        rows.append(f"| {r['lever']} | {r['part']} | {computed:.2f} | {flops:.2f} | {passes:.1f} | {r['brings']:.2f} |")
    return "\n".join(rows)


def growth(result: dict[str, Any] | None) -> str:
    """The fitted exponents, with a chart each."""
    if result is None:
        return NOT_MEASURED
    rows = ["| grows | from | to | exponent of time | exponent of memory |", "|" + " --- |" * 5]
    for axis in result["axes"].values():
        sizes = [p["size"] for p in axis["points"]]
        exponents = " | ".join(
            "" if e is None else f"{e:.2f}" for e in (axis["time_exponent"], axis["memory_exponent"])
        )
        rows.append(f"| {axis['label']} | {min(sizes):,} | {max(sizes):,} | {exponents} |")
    charts = [
        f"![Time and memory against {axis['label']}](performance/growth-{name}.svg)"
        for name, axis in result["axes"].items()
    ]
    return "\n".join([*rows, "", *charts])


def letters(machines: Sequence[dict[str, Any]]) -> list[str]:
    """A letter for each, the same for the same processor with the same packages."""
    known = dict.fromkeys(map(_where, machines))
    named = dict(zip(known, string.ascii_uppercase, strict=False))
    return [named[_where(one)] for one in machines]


def _where(machine: dict[str, Any]) -> str:
    device = f"{machine['gpu']}, {machine['processor']}" if machine["gpu"] else machine["processor"]
    sizes = f"{machine['cores']} cores, {machine['threads']} threads"
    return f"{device}, {sizes}; Python {machine['python']}; {_said(machine['packages'])}"


def _said(packages: dict[str, str]) -> str:
    return ", ".join(f"{package} {version}" for package, version in packages.items())


def machine(results: Mapping[str, dict[str, Any] | None]) -> str:
    """Where and with what, once for each machine.

    Args:
        results: what was measured -> its result; comparisons first, whose letters these are.
    """
    there = {name: result["machine"] for name, result in results.items() if result is not None}
    lines: dict[str, list[str]] = {}
    for (name, found), letter in zip(there.items(), letters(list(there.values())), strict=True):
        line = f"- **{letter}** {_where(found)}"
        lines.setdefault(line, []).append(f"{name} ({found['time'][:10]})")
    own = {
        f"- {tool.partition('-')[0]}, in an environment of its own: {_said(packages)}"
        for found in there.values()
        for tool, packages in found.get("environments", {}).items()
    }
    return "\n".join([*(f"{line}: {', '.join(names)}" for line, names in lines.items()), *sorted(own)]) or NOT_MEASURED


def charts(folder: Path, compared: Sequence[dict[str, Any]], grown: dict[str, Any] | None) -> Iterator[Path]:
    """Write the charts as SVG and say where."""
    import altair as alt

    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"tool": r["contestant"], "speed": r["examples_per_second"]["median"],
         "what": f"{r['workload']}, {'training' if r['part'] == 'train' else 'evaluation'} (machine {letter})"}
        for result, letter in zip(compared, letters([result["machine"] for result in compared]), strict=True)
        for r in result["medians"] if r["setting"] == "same" and "error" not in r
    ]  # fmt: skip
    if rows:
        chart = (
            alt.Chart(alt.Data(values=rows))
            .mark_bar()
            .encode(
                x=alt.X("speed:Q", title="examples per second"),
                y=alt.Y("tool:N", title=None, sort="-x"),
                color=alt.condition("datum.tool == 'polyprefix'", alt.value("#1b6ca8"), alt.value("#b8b8b8")),
            )
            .properties(width=420)
            .facet(
                row=alt.Row(
                    "what:N",
                    title=None,
                    header=alt.Header(labelAngle=0, labelAlign="left", labelAnchor="start", labelOrient="top"),
                )
            )
        )
        chart = chart.resolve_scale(x="independent", y="independent")  # fmt: skip
        chart.save(folder / "comparison.svg")
        yield folder / "comparison.svg"
    for name, axis in (grown or {"axes": {}})["axes"].items():
        values = [{"size": p["size"], "value": p[key], "what": label} for p in axis["points"] if p["size"] > 0
                  for key, label in (("seconds", "seconds"), ("peak_memory_bytes", "peak memory, bytes"))]  # fmt: skip
        lines = (
            alt.Chart(alt.Data(values=values))
            .mark_line(point=True)
            .encode(
                x=alt.X("size:Q", title=axis["label"], scale=alt.Scale(type="log")),
                y=alt.Y("value:Q", title=None, scale=alt.Scale(type="log")),
            )
            .properties(width=260, height=200)
            .facet(column=alt.Column("what:N", title=None))
        )
        lines.resolve_scale(y="independent").save(folder / f"growth-{name}.svg")
        yield folder / f"growth-{name}.svg"


def write(page: Path, results: Path, pictures: Path) -> None:
    """Fill the page."""
    compared = [r for p in sorted(results.glob("compare-*.json")) if (r := read(results, p.name))]
    grown, on_gpu = read(results, "growth.json"), read(results, "gpu.json")
    ablated = read(results, "levers.json")
    drawn = list(charts(pictures, compared, grown))
    text = page.read_text(encoding="utf-8")
    for setting in SETTINGS:
        text = fill(text, setting, comparison(compared, setting))
    chart = "![Examples per second, same dtype and batch](performance/comparison.svg)"
    text = fill(text, "chart", chart if pictures / "comparison.svg" in drawn else NOT_MEASURED)
    text = fill(text, "ceiling", ceiling(compared))
    text = fill(text, "agreement", "\n".join(f"- {line}" for r in compared for line in r["agreement"]) or NOT_MEASURED)
    text = fill(text, "levers", levers(ablated))
    text = fill(text, "gpu", gpu(on_gpu))
    text = fill(text, "growth", growth(grown))
    others = {"levers": ablated, "growth": grown, "GPU": on_gpu}
    text = fill(text, "machine", machine({r.get("name", r["model"]): r for r in compared} | others))
    page.write_text(text, encoding="utf-8")


def main() -> None:
    """From the results in the repository."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    write(PAGE, parser.parse_args().results, CHARTS)


if __name__ == "__main__":
    main()
