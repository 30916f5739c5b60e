"""A Kubernetes manifest that runs an estimate: a Deployment of its replicas and the Service before them."""

from __future__ import annotations

import re
from typing import Any

from llmsizer.catalog.engine_flags import device_resource
from llmsizer.core.errors import UnsupportedCombination
from llmsizer.handover.command import launch_command, target_of
from llmsizer.handover.launch import comments, yaml_text
from llmsizer.handover.settings import Target
from llmsizer.schema.deployment import Case
from llmsizer.sizing.estimate import Estimate

CONFIG_FOLDER = "/config"
# Machines with more devices are rare.
MACHINE_DEVICES = 8
# Time a pod may take to fetch and load its weights before it is started anew.
STARTUP_SECONDS, PROBE_SECONDS = 3600, 10


def manifest(estimate: Estimate, replicas: int = 1, name: str = "") -> str:
    """The manifest as YAML, with what it leaves to its reader as comments; ``name``: of what it makes, else the model's.

    Raises UnsupportedCombination for devices that Kubernetes has no recorded name for, and as
    ``launch_command`` does.
    """
    case, target = estimate.case, target_of(estimate.case, None)
    port = int(target.flags.entry["port"])
    launch = launch_command(estimate, port=port)
    name = _name(name or case.model.id)
    documents: list[dict[str, Any]] = []
    config = f"{name}-config" if launch.file else None
    if launch.file:
        data = {launch.file_name: yaml_text(launch.file)}
        documents.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": config}, "data": data})
    flags = [
        (flag, f"{CONFIG_FOLDER}/{value}" if launch.file and value == launch.file_name else value)
        for flag, value in launch.flags
    ]
    container = _container(case, target, launch.arguments(flags), port)
    documents += [_deployment(name, replicas, container, config), _service(name, port)]
    notes = comments([launch.heading, *launch.notes, *_notes(case, target)])
    return "\n".join([*notes, "---\n".join(yaml_text(each) for each in documents).rstrip("\n")])


def _name(given: str) -> str:
    title = given.rsplit("/", 1)[-1].lower()
    return re.sub(r"[^a-z0-9]+", "-", title).strip("-")[:50].strip("-") or "model"


def _notes(case: Case, target: Target) -> list[str]:
    notes = ["The token of the model hub is read from the secret hf-token, if there is one; pods wait for their weights."]
    if target.flags.image(case.accelerator.vendor) is None:
        vendor = case.accelerator.vendor
        notes.append(f"No image of {target.engine.title} for {vendor} devices is recorded: put yours for IMAGE.")
    if case.parallel.devices > MACHINE_DEVICES:
        notes.append(
            f"{case.parallel.devices} devices are more than most machines hold: a pod cannot span machines; start one on each "
            "(LeaderWorkerSet) and tell the engine of the others."
        )
    return notes


def _container(case: Case, target: Target, arguments: list[str], port: int) -> dict[str, Any]:
    vendor = case.accelerator.vendor
    resource = device_resource(vendor)
    if resource is None:
        raise UnsupportedCombination(f"--emit k8s: no Kubernetes resource name is recorded for {vendor} devices")
    token = {"name": "hf-token", "key": "token", "optional": True}
    return {
        "name": "engine", "image": target.flags.image(vendor) or "IMAGE",
        "command": [target.flags.entry.get("container_program", arguments[0])], "args": arguments[1:],
        "env": [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": token}}],
        "ports": [{"containerPort": port, "name": "http"}],
        "resources": {"limits": {resource: case.parallel.devices}},
        "startupProbe": {**_probe(target, port), "failureThreshold": STARTUP_SECONDS // PROBE_SECONDS},
        "readinessProbe": _probe(target, port),
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108
    }  # fmt: skip


def _probe(target: Target, port: int) -> dict[str, Any]:
    return {"httpGet": {"path": target.flags.entry["readiness"], "port": port}, "periodSeconds": PROBE_SECONDS}


def _deployment(name: str, replicas: int, container: dict[str, Any], config: str | None) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [{"name": "shm", "emptyDir": {"medium": "Memory"}}]
    if config is not None:
        volumes.append({"name": "config", "configMap": {"name": config}})
        container["volumeMounts"].append({"name": "config", "mountPath": CONFIG_FOLDER})
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": dict(labels)},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": dict(labels)},
            "template": {"metadata": {"labels": dict(labels)}, "spec": {"containers": [container], "volumes": volumes}},
        },
    }  # fmt: skip


def _service(name: str, port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": port}]},
    }  # fmt: skip
