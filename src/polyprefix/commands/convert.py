"""`export` and `import`: adapters and runs in the forms of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from polyprefix.errors import ConfigError
from polyprefix.interruption import loading

IMPORTED = {"lm-eval": "lm_eval_files", "lighteval": "lighteval_files", "inspect": "inspect_files"}
"""Format of runs -> the module of `integrations` that reads them."""


@click.command()
@click.argument("adapters", metavar="ADAPTER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    required=True,
    help="transformers, kv-cache, llama.cpp, peft, prompt-embeds for vLLM, or polyprefix; of runs csv, parquet or sqlite.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to write; of runs, the file.")
@click.option("--model", help="The base model, where it is not found under the name that it was trained with.")
@click.option(
    "--template",
    type=click.Path(path_type=Path),
    help="Of llama.cpp: a slot file that its server saved, or for lora the base model's GGUF file.",
)
def export(adapters: tuple[Path, ...], form: str, out: Path, model: str | None, template: Path | None) -> None:
    """Write a saved ADAPTER in another tool's format; the prefixes of several are joined to one. Of folders of runs, write the long table."""
    from polyprefix.adapters.formats import check_template, export_adapter
    from polyprefix.adapters.saved import find_adapter, read_settings
    from polyprefix.results.export import TABLE_FORMATS, export_table

    if form in TABLE_FORMATS:
        from polyprefix.results.table import read_table

        click.echo(f"wrote {export_table(read_table(adapters), form, out)}")
        return
    dtype = "float32" if check_template(form, template).float32 else "auto"
    folders = [find_adapter(adapter) for adapter in adapters]
    trained_on = [read_settings(folder)["base"]["name"] for folder in folders]
    name = model or trained_on[0]
    with loading():
        from polyprefix.adapters.attach import attach
        from polyprefix.adapters.files import load_adapter
        from polyprefix.models.load import load_model
        from polyprefix.models.locate import check_name

    check_name(name)
    base = load_model(name, dtype=dtype)
    parts = [load_adapter(base, folder) for folder in folders]
    adapted = attach(base, parts) if len(parts) > 1 else parts[0]
    click.echo(f"wrote {export_adapter(adapted, form, out, template)}")


@click.command(name="import")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    default="peft",
    show_default=True,
    help="peft; or lm-eval, lighteval or inspect for runs of these tools.",
)
@click.option("--model", help="The base model of the adapter; of runs, what to call the model.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The folder to write; of runs, the folder of all runs.",
)
@click.option("--allow-pickle", is_flag=True, help="Also read pickled tensors (.bin), a form that can run code.")
@click.option(
    "--method", metavar="NAME", help="Of runs: what `compare` compares.  [default: the adapter's name, or none]"
)
@click.option("--metric", metavar="M", help="Of runs: the main metric.  [default: each task's first]")
@click.option("--filter", metavar="F", help="Of runs: the harness's filter of answers.  [default: each task's first]")
@click.option("--parallel", is_flag=True, help="Of runs: a document's number means the same item in every language.")
def import_(folder: Path, form: str, model: str | None, out: Path, allow_pickle: bool, **of_runs: Any) -> None:
    """Read an adapter that another tool saved in FOLDER, or runs of lm-evaluation-harness (--log_samples),
    lighteval (--save-details) or inspect."""
    from polyprefix.adapters.formats import check_format, import_adapter
    from polyprefix.models.locate import check_name

    if not folder.exists():
        raise ConfigError(f"{folder}: no such folder; give one that holds an adapter, or runs")
    if form in IMPORTED:
        from importlib import import_module

        from polyprefix.integrations.imported import Chosen

        reader = import_module(f"polyprefix.integrations.{IMPORTED[form]}")
        for written in reader.import_runs(folder, out, Chosen(model=model, **of_runs)):
            click.echo(f"wrote {written}")
        return
    check_format(form, to_read=True)
    if given := [key for key, value in of_runs.items() if value]:
        raise ConfigError(f"--{given[0]}: belongs to runs of {', '.join(IMPORTED)}; leave it out")
    if model is None:
        raise ConfigError("--model: missing; name the base model of the adapter")
    check_name(model)
    with loading():
        from polyprefix.adapters.files import save_adapter
        from polyprefix.models.load import load_model

    base = load_model(model, allow_pickle=allow_pickle)
    click.echo(f"wrote {save_adapter(import_adapter(base, form, folder, allow_pickle=allow_pickle), out)}")
