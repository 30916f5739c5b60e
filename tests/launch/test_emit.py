"""``--emit``: manifests and benchmark commands, and what the command line prints."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

import llmsizer
from llmsizer.catalog.engine_flags import benchmark_flags
from llmsizer.cli.main import run
from llmsizer.core.errors import UnknownName, UnsupportedCombination
from llmsizer.handover.benchmark import benchmark_command
from llmsizer.handover.emit import emitted
from llmsizer.handover.kubernetes import manifest


def documents(**words: Any) -> dict[str, Any]:
    found = yaml.safe_load_all(manifest(llmsizer.estimate(**words)))
    return {each["kind"]: each for each in found}


def container(found: dict[str, Any]) -> dict[str, Any]:
    return dict(found["Deployment"]["spec"]["template"]["spec"]["containers"][0])


@pytest.mark.parametrize(
    ("engine", "hardware", "resource"),
    [("vllm", "h100", "nvidia.com/gpu"), ("vllm", "mi300x", "amd.com/gpu"), ("sglang", "h100", "nvidia.com/gpu"),
     ("tgi", "h100", "nvidia.com/gpu"), ("tensorrt-llm", "h100", "nvidia.com/gpu")],
)  # fmt: skip
def test_manifest(engine: str, hardware: str, resource: str):
    found = documents(model="llama-3.1-70b", hardware=hardware, engine=engine, tensor_parallel_size=4)
    one, labels = container(found), found["Deployment"]["spec"]["selector"]["matchLabels"]
    assert one["resources"]["limits"] == {resource: 4}
    port = one["ports"][0]["containerPort"]
    assert str(port) in one["args"]
    assert one["readinessProbe"]["httpGet"] == {"path": "/health", "port": port}
    assert found["Service"]["spec"]["ports"][0]["targetPort"] == port
    assert found["Service"]["spec"]["selector"] == labels == found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert {"name": "shm", "mountPath": "/dev/shm"} in one["volumeMounts"]
    volumes = {each["name"]: each for each in found["Deployment"]["spec"]["template"]["spec"]["volumes"]}
    assert volumes["shm"]["emptyDir"]["medium"] == "Memory"
    assert {each["name"] for each in one["volumeMounts"]} == set(volumes)
    assert all(isinstance(word, str) for word in (*one["command"], *one["args"]))


def test_a_configuration_file_becomes_a_config_map():
    found = documents(model="llama-3.1-8b", hardware="h100", engine="tensorrt-llm", kv_cache_dtype="fp8")
    inner = yaml.safe_load(found["ConfigMap"]["data"]["trtllm.yaml"])
    assert inner["kv_cache_config"] == {"dtype": "fp8"}
    assert "/config/trtllm.yaml" in container(found)["args"]


def test_a_program_is_called_where_its_image_has_it():
    found = documents(model="llama-3.1-8b", hardware="h100", engine="llama.cpp", quantization="Q4_K_M")
    assert container(found)["command"] == ["/app/llama-server"]
    assert container(found)["args"][0] == "--model"


def test_devices_that_kubernetes_does_not_know_are_refused():
    with pytest.raises(UnsupportedCombination, match="no Kubernetes resource name"):
        manifest(llmsizer.estimate("llama-3.1-8b", "m2-ultra@64GiB", quantization="Q4_K_M"))


def test_benchmark_of_a_closed_loop():
    estimate = llmsizer.estimate("llama-3.1-8b", "h100", concurrency=32, prefix_cache_hit_rate=0.25)
    launch = benchmark_command(estimate)
    flags = dict(launch.flags)
    assert flags["--max-concurrency"] == 32
    assert "--request-rate" not in flags
    assert (flags["--random-prefix-len"], flags["--random-input-len"], flags["--random-output-len"]) == (256, 768, 256)
    assert flags["--num-prompts"] == 320
    assert all(benchmark_flags().has(flag) for flag in flags)
    assert f"{estimate.throughput.requests_per_second:,.3g} requests/s" in "\n".join(launch.notes)


def test_benchmark_of_a_rate():
    flags = dict(benchmark_command(llmsizer.estimate("llama-3.1-8b", "h100", engine="sglang", request_rate=2.5)).flags)
    assert flags["--request-rate"] == 2.5
    assert "--max-concurrency" not in flags
    assert flags["--base-url"].endswith(":30000")


def test_lengths_that_scatter_are_a_note():
    estimate = llmsizer.estimate("llama-3.1-8b", "h100", concurrency=8, input_tokens="500..1500", output_tokens=100)
    assert any("scatter" in note for note in benchmark_command(estimate).notes)


def test_nearest_names():
    estimate = llmsizer.estimate("llama-3.1-8b", "h100")
    for what in ("vlm", "kubernetes", "transformers", ""):
        with pytest.raises(UnknownName):
            emitted(estimate, what)


@pytest.mark.parametrize("what", ["vllm", "sglang", "trtllm", "tgi", "llama.cpp", "k8s", "bench"])
def test_on_the_command_line(what: str, capsys: pytest.CaptureFixture[str]):
    words = ["estimate", "-m", "llama-3.1-8b", "-g", "h100", "--emit", what]
    assert run(words) == 0
    text = capsys.readouterr().out
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert list(yaml.safe_load_all(text)) if what == "k8s" else shlex.split(plain)
    assert run([*words, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert run([*words, "--format", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("```")
    assert run([*words, "--format", "csv"]) == 2


def test_what_does_not_fit_is_not_started(capsys: pytest.CaptureFixture[str]):
    assert run(["estimate", "-m", "llama-3.1-70b", "-g", "h100", "--emit", "vllm"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("# It does not fit")
    assert "vllm serve" not in text


PLAN = ["plan", "-m", "llama-3.1-8b", "--rate", "60", "--tpot", "40ms", "-g", "l40s", "--no-simulate"]


@pytest.mark.parametrize("what", ["vllm", "sglang", "k8s", "bench"])
def test_a_plan_hands_over_its_pick(what: str, capsys: pytest.CaptureFixture[str]):
    assert run([*PLAN, "--emit", what]) == 0
    text = capsys.readouterr().out
    assert "replicas of it serve the peak" in text.splitlines()[0]
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert list(yaml.safe_load_all(text)) if what == "k8s" else shlex.split(plain)
    assert run([*PLAN, "--emit", what, "--format", "json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["replicas"] > 1
    assert ("manifest" in told) == (what == "k8s")


def test_every_workload_of_a_plan_file_has_a_manifest_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "plan.yaml"
    workloads = "{chat: {model: llama-3.1-8b, request_rate: 2}, digest: {model: llama-3.1-8b, request_rate: 1}}"
    path.write_text(
        f"workloads: {workloads}\ncandidates: {{hardware: [l40s]}}\noutputs: {{simulate: false}}\n", encoding="utf-8"
    )
    assert run(["plan", str(path), "--emit", "k8s"]) == 0
    documents = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [each["metadata"]["name"] for each in documents if each["kind"] == "Deployment"] == ["chat", "digest"]


def test_a_plan_without_a_pick_starts_nothing(capsys: pytest.CaptureFixture[str]):
    assert run([*PLAN, "--tpot", "1us", "--emit", "vllm"]) == 1
    text = capsys.readouterr().out
    assert "Nothing meets the targets" in text
    assert all(line.startswith("#") for line in text.splitlines())
