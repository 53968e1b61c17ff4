"""Law: a method is a folder of `methods`; settings are strict, known without torch and recorded in full, and the same run has the same id."""

from __future__ import annotations

import subprocess
import sys

import pytest

from polyprefix.adapters import registry
from polyprefix.config import RunConfig, TrainConfig
from polyprefix.errors import ConfigError
from polyprefix.methods.base import Method

NAMES = ("full", "llama-adapter", "lora", "none", "prefix", "soft-prompt")


def test_the_methods() -> None:
    assert tuple(sorted(registry.names())) == NAMES


@pytest.mark.parametrize("name", registry.names())
def test_each_says_what_it_is(name: str) -> None:
    kind = registry.kind(name)
    assert issubclass(kind, Method) and kind.name == name
    assert kind.title and kind.source and kind.__doc__
    assert all(field.description for field in kind.model_fields.values()), "each setting says what it means"
    assert (kind.defaults.learning_rate > 0) == (name != "none")


def test_settings_are_known_without_torch() -> None:
    """What lists methods, checks a configuration or plans a study has no model to load."""
    code = (
        "import sys; from polyprefix.adapters import registry; from polyprefix.config import RunConfig\n"
        "for name in registry.names(): registry.resolve(RunConfig(model='m', task='terms', method=name))\n"
        "print(sorted({'torch', 'transformers', 'peft'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", registry.names())
def test_settings_survive_the_record(name: str) -> None:
    method = registry.build({"name": name})
    assert registry.build({"name": name, **method.model_dump(mode="json")}) == method


def test_an_unknown_name_or_setting_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="method 'prefx': no such method, did you mean 'prefix'"):
        registry.build({"name": "prefx"})
    with pytest.raises(ConfigError, match="unknown key 'lenght', did you mean 'length'"):
        registry.build({"name": "prefix", "lenght": 4})


def test_all_mistakes_at_once() -> None:
    with pytest.raises(ConfigError, match=r"'length' is 0.*'parametrization' is 'row'") as error:
        registry.build({"name": "prefix", "length": 0, "parametrization": "row"})
    assert "\n" not in str(error.value)


def test_variants_of_llama_adapter_are_their_settings() -> None:
    def build(**settings: object) -> dict[str, object]:
        return registry.build({"name": "llama-adapter", **settings}).model_dump(exclude={"variant"})

    assert build(variant="peft") == build(gate="layer", tanh=False)
    assert build(variant="original-training") == build()
    assert build(variant="original-inference") == build(tanh=False)
    assert build(variant="litgpt", layers="all")["layers"] == "all", "what is given comes first"


def run(**settings: object) -> RunConfig:
    return registry.resolve(RunConfig(model="m", task="terms", **settings))


def test_defaults_written_out_are_the_same_run() -> None:
    short = run(method="prefix")
    kind = registry.kind("prefix")
    assert short.train.learning_rate == kind.defaults.learning_rate
    long = run(method=dict(short.method), train=TrainConfig(learning_rate=kind.defaults.learning_rate))
    assert short.run_id() == long.run_id()
    assert short.run_id() != run(method={"name": "prefix", "length": 17}).run_id()


def test_a_variant_may_have_defaults_of_its_own() -> None:
    encoded = run(method={"name": "prefix", "parametrization": "mlp"})
    assert 0 < encoded.train.learning_rate < run(method="prefix").train.learning_rate
    assert run(method=dict(encoded.method), train=TrainConfig(learning_rate=0.5)).train.learning_rate == 0.5


def test_what_trains_nothing_has_no_training_settings() -> None:
    one = run(method="none", seed=1, train=TrainConfig(learning_rate=0.5), train_size=10)
    assert one.run_id() == run(method="none", seed=2).run_id()
