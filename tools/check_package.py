"""The package as a stranger installs it: wheel and sdist in empty environments, with the oldest and the newest libraries that it allows.

    python -m tools.check_package [--torch 2.13.0] [--only oldest] [--python python3.12]

`oldest` takes the lower bounds of torch, transformers, peft and datasets in pyproject.toml, `newest` the newest that the index has. In each
environment every module is imported, a tiny model is trained and evaluated by the command, and whatever is missing must be named with its
extra. What PyPI serves as torch on Linux is a CUDA build of several GB; --torch takes another version for both.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
BOUNDED = ("torch", "transformers", "peft", "datasets")
SMALL = (
    "--eval-size",
    "9",
    "--set",
    "train.steps=2",
    "--set",
    "train.validation_size=3",
    "--set",
    "train.validations=1",
)
INSIDE = """
import importlib, pkgutil
import polyprefix
bare = {}
for module in pkgutil.walk_packages(polyprefix.__path__, "polyprefix."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        bare[module.name] = error.name
print("modules that need a library of an extra:", *(f"{name} ({missing})" for name, missing in bare.items()))
allowed = {"lm_eval", "lighteval", "inspect_ai", "fastapi", "uvicorn", "prometheus_client", "ray", "anyio", "starlette", "pytest", "vllm"}
assert {name.partition(".")[0] for name in bare.values()} <= allowed, bare
from importlib import metadata
print(*(f"{name} {metadata.version(name)}" for name in ("polyprefix", "torch", "transformers", "peft", "datasets", "pandas", "numpy")))
"""

TINY = """
from polyprefix.testing.tiny import tiny_model, tiny_tokenizer
tiny_model("gemma3").save_pretrained("tiny"); tiny_tokenizer().save_pretrained("tiny")
"""
"""The contract tests that the package ships are pytest's."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--torch", help="a version for both environments")
    options.add_argument("--only", choices=("oldest", "newest"))
    options.add_argument("--python", default=sys.executable)
    options.add_argument(
        "--out", type=Path, default=ROOT / "build" / "package", help="environments there are used again"
    )
    given = options.parse_args()
    out = given.out.resolve()
    wheel, sdist = build(out)
    for name, built in (("oldest", wheel), ("newest", sdist)):
        if given.only in (None, name):
            check(name, built, out / name, versions(name, given.torch), given.python)
    print("the package installs and works")


def build(out: Path) -> tuple[Path, Path]:
    """The wheel and the sdist, built from the files that git knows."""
    dist = out / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    python = environment(out / "builder", sys.executable)
    run(python, "-m", "pip", "install", "-qq", "build")
    run(python, "-m", "build", "--outdir", str(dist), str(ROOT), quiet=True)
    return next(dist.glob("*.whl")), next(dist.glob("*.tar.gz"))


def _bound(line: str) -> tuple[str, str]:
    """Package and oldest version of a dependency."""
    found = re.fullmatch(r"([\w-]+)>=([\d.]+)", line)
    if not found:
        raise SystemExit(f"pyproject.toml: '{line}': expected NAME>=VERSION")
    return found[1], found[2]


def versions(name: str, torch: str | None) -> list[str]:
    """What pip is asked for beside the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = dict(map(_bound, project["dependencies"]))
    wanted = {package: f"=={bounds[package]}" if name == "oldest" else f">={bounds[package]}" for package in BOUNDED}
    return [f"{package}{f'=={torch}' if torch and package == 'torch' else wanted[package]}" for package in BOUNDED]


def check(name: str, built: Path, place: Path, wanted: list[str], interpreter: str) -> None:
    print(f"{name}: {built.name} with {', '.join(wanted)}", flush=True)
    python = environment(place, interpreter)
    upgrade = ["--upgrade"] if name == "newest" else []
    run(python, "-m", "pip", "install", "-qq", *upgrade, *wanted, str(built))
    run(python, "-m", "pip", "install", "-qq", "--no-deps", "--force-reinstall", str(built))
    work = place / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    run(python, "-c", INSIDE, cwd=work)
    run(python, "-m", "pip", "install", "-qq", "pytest")
    run(python, "-c", TINY, cwd=work, quiet=True)
    command = python.parent / "polyprefix"
    run(command, "list", "tasks", "--json", cwd=work, quiet=True)
    run(command, "list", "schema", cwd=work, quiet=True)
    run(command, "check", "xcopa", cwd=work, quiet=True, status=2)  # no Hub: one line, not a traceback
    run(
        command,
        "run",
        "--model",
        "tiny",
        "--task",
        "terms",
        "--method",
        "prefix",
        "--languages",
        "sw,fi",
        *SMALL,
        cwd=work,
    )
    run(command, "report", "runs", cwd=work, quiet=True)
    for words, extra in (
        (("lm-eval", "ls"), "lm-eval"),
        (("lighteval", "m", "t"), "lighteval"),
        (("import", "tiny", "--format", "inspect", "--out", "x"), "inspect"),
        (("serve", "runs"), "serve"),
    ):
        said = run(command, *words, cwd=work, quiet=True, status=2)
        assert f"polyprefix[{extra}]" in said, said


def environment(place: Path, interpreter: str) -> Path:
    """The interpreter of an environment, which is made where there is none."""
    python = place / "bin" / "python"
    if not python.exists():
        if interpreter == sys.executable:
            venv.create(place, with_pip=True)
        else:
            run(interpreter, "-m", "venv", str(place))
    return python


def run(*words: str | Path, cwd: Path | None = None, quiet: bool = False, status: int = 0) -> str:
    """What a command says; it must end with the status."""
    done = subprocess.run([*map(str, words)], cwd=cwd or ROOT, capture_output=True, text=True)
    said = done.stdout + done.stderr
    if done.returncode != status:
        sys.exit(f"{' '.join(map(str, words))[:200]}: exit status {done.returncode}, expected {status}\n{said}")
    if not quiet and said.strip():
        print(said.strip()[-1500:], flush=True)
    return said


if __name__ == "__main__":
    main()
