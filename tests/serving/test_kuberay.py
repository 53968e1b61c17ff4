"""Law: the manifest of docs/deploy.md is a RayService as KubeRay's definition has it (`ray.io/v1`, KubeRay 1.7), and what it mounts is there.

The definition is a megabyte; below are the names of the fields at the places that the manifest uses, and which of them are required.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from polyprefix.serving import ray

PAGE = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8")
MANIFEST = re.findall(r"```text\n(apiVersion: ray.io/v1\n.*?)```", PAGE, re.S)
TEXT, WHOLE, YES = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}


def fields(required: str = "", /, **known: Any) -> dict[str, Any]:
    """A JSON schema of an object that has no other fields."""
    return {"type": "object", "properties": known, "required": required.split(), "additionalProperties": False}


def several(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1}


KEY_OF_SECRET = fields("key", name=TEXT, key=TEXT, optional=YES)
CONTAINER = fields(
    "name",
    name=TEXT, image=TEXT, command=several(TEXT), args=several(TEXT), imagePullPolicy=TEXT, resources={"type": "object"},
    env=several(fields("name", name=TEXT, value=TEXT, valueFrom=fields(secretKeyRef=KEY_OF_SECRET))),
    ports=several(fields("containerPort", containerPort=WHOLE, name=TEXT)),
    volumeMounts=several(fields("mountPath name", name=TEXT, mountPath=TEXT, readOnly=YES, subPath=TEXT)),
)  # fmt: skip
CLAIM = fields("claimName", claimName=TEXT, readOnly=YES)
POD = fields(
    spec=fields("containers", containers=several(CONTAINER), volumes=several(fields("name", name=TEXT, persistentVolumeClaim=CLAIM)))
)  # fmt: skip
PARAMETERS = {"type": "object", "additionalProperties": TEXT}
CLUSTER = fields(
    "headGroupSpec",
    rayVersion=TEXT, enableInTreeAutoscaling=YES,
    headGroupSpec=fields("template", rayStartParams=PARAMETERS, template=POD, serviceType=TEXT),
    workerGroupSpecs=several(fields(
        "groupName maxReplicas minReplicas template",
        groupName=TEXT, replicas=WHOLE, minReplicas=WHOLE, maxReplicas=WHOLE, rayStartParams=PARAMETERS, template=POD,
    )),
)  # fmt: skip
RAY_SERVICE = fields(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"}, kind={"const": "RayService"}, metadata=fields("name", name=TEXT, namespace=TEXT),
    spec=fields("rayClusterConfig", serveConfigV2=TEXT, rayClusterConfig=CLUSTER),
)  # fmt: skip


def manifest(deployment: str) -> Any:
    """The manifest of the page, with a deployment file in its place."""
    [text] = MANIFEST
    line = re.findall(r"^( +)# the content of serve.yaml$", text, re.M)
    assert len(line) == 1
    indented = "".join(line[0] + one + "\n" for one in deployment.splitlines())
    return yaml.safe_load(text.replace(line[0] + "# the content of serve.yaml\n", indented))


def test_the_manifest_is_a_ray_service(tmp_path: Path) -> None:
    file = tmp_path / "serve.yaml"
    ray.write_deployment(ray.RayArguments(runs=("/runs/RUN",)), "0.0.0.0", 8000, file)
    found = manifest(file.read_text())
    jsonschema.validate(found, RAY_SERVICE)
    assert yaml.safe_load(found["spec"]["serveConfigV2"]) == yaml.safe_load(file.read_text())


def test_what_is_mounted_is_there() -> None:
    spec = manifest("")["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]
    volumes = {volume["name"] for volume in spec["volumes"]}
    mounts = [mount for container in spec["containers"] for mount in container["volumeMounts"]]
    assert {mount["name"] for mount in mounts} == volumes
    [key] = [one for container in spec["containers"] for one in container["env"]]
    assert key["name"] == "POLYPREFIX_API_KEY"


def test_a_field_that_is_none_is_found() -> None:
    found = manifest("")
    found["spec"]["serveConfig"] = ""
    with pytest.raises(jsonschema.ValidationError, match="serveConfig"):
        jsonschema.validate(found, RAY_SERVICE)
