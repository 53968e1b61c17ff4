"""A run on the Hugging Face Hub: its adapter with its card, in safetensors only. `adapter_place` fetches it again."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from polyprefix.adapter_place import REPOSITORY, SETTINGS, TENSORS, find_adapter
from polyprefix.adapters.saved import read_settings
from polyprefix.atomic import output_errors
from polyprefix.errors import ConfigError, OutputError, first_line
from polyprefix.integrations.card import card_of, is_hub_id, origin_of
from polyprefix.network import hub_answers
from polyprefix.results.files import read_result


def push(
    run: Path, repository: str, *, private: bool = False, base: str | None = None, licence: str | None = None
) -> str:
    """Upload the adapter of a run with its model card, in one commit.

    The base model is written as its id on the Hub, and paths of this machine are left out.

    Args:
        run: the folder of a finished run.
        repository: `organisation/name`; created where it is missing.
        private: of a repository that is created.
        base: the base model's id on the Hub, where the run does not say it.
        licence: as the Hub calls it.

    Returns:
        The address of the commit.

    Raises:
        AdapterError, OutputError: if the run has no adapter, or is not finished.
        ConfigError: for an impossible name, or a base model that is on no Hub.
        OutputError: if the Hub does not answer, or refuses.
    """
    check_repository(repository)
    result, adapter = read_result(run), find_adapter(run)
    settings = read_settings(adapter)
    known = origin_of(result, base).base
    if known is None or not is_hub_id(known):
        raise ConfigError(
            f"{run}: its base model '{result.config['model']}' is no id of the Hub; give it with --base ORG/NAME"
        )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with output_errors(folder):
            shutil.copyfile(adapter / TENSORS, folder / TENSORS)
        (folder / SETTINGS).write_text(
            json.dumps(_shareable(settings, result.config["model"], known), indent=2) + "\n", encoding="utf-8"
        )
        card = card_of(run, repository=repository, base=known, licence=licence)
        (folder / "README.md").write_text(card, encoding="utf-8")
        return _upload(folder, repository, private, result.run_id)


def check_repository(name: str) -> None:
    """Raises ConfigError for what is no `organisation/name`."""
    if not REPOSITORY.fullmatch(name):
        raise ConfigError(f"'{name}': expected organisation/name, of letters, digits, '-', '_' and '.'")


def _shareable(settings: dict[str, Any], model: str, known: str) -> dict[str, Any]:
    """The settings of an adapter without paths: an embedded model keeps its name, others have their id on the Hub."""
    from polyprefix.models.embedded import EMBEDDED

    task = dict(settings.get("task") or {})
    if "definition" in task or "/" not in str(task.get("name", "")):
        return {**settings, "base": {**settings["base"], "name": model if model in EMBEDDED else known}}
    raise ConfigError(
        f"task '{task['name']}': the adapter names a path of this machine; train it with this version to keep the task's definition"
    )


def _upload(folder: Path, repository: str, private: bool, run_id: str) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    if not hub_answers():
        raise OutputError(
            f"{repository}: the Hub does not answer; connect to the network (HF_ENDPOINT, HF_HUB_OFFLINE), and log in with `hf auth login`"
        )
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="polyprefix")
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        done = api.upload_folder(repo_id=repository, folder_path=folder, commit_message=f"Adapter of {run_id}")
    except (HfHubHTTPError, ValueError, OSError) as error:
        raise OutputError(
            f"{repository}: the Hub refused ({first_line(error)}); check the name and `hf auth whoami`"
        ) from error
    return str(done.commit_url)
