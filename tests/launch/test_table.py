"""The table of flags is complete in itself and speaks of the versions that the engines' profiles describe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from llmsizer.catalog.engine_flags import benchmark_flags, device_resource, engine_flags, filled, recorded_engines
from llmsizer.catalog.engines import version_key
from llmsizer.catalog.package_data import package_data
from llmsizer.core.errors import UnsupportedCombination

ENGINES = recorded_engines()


def ways(engine: str) -> Iterator[tuple[str, Any]]:
    for setting, told in package_data("engine_flags.yaml")["engines"][engine]["settings"].items():
        for way in told if isinstance(told, list) else [told]:
            yield setting, way


@pytest.mark.parametrize("engine", ENGINES)
def test_every_way_uses_listed_flags(engine: str):
    entry = package_data("engine_flags.yaml")["engines"][engine]
    listed = {*entry["flags"], *entry.get("files", {})}
    for setting, way in ways(engine):
        used = {way} if isinstance(way, str) else set(way["set"])
        assert used <= listed, setting


@pytest.mark.parametrize("engine", ENGINES)
def test_words_that_are_written_are_words_the_flag_takes(engine: str):
    entry = package_data("engine_flags.yaml")["engines"][engine]
    for setting, way in ways(engine):
        if isinstance(way, str):
            continue
        for name, template in way["set"].items():
            words = (entry["flags"].get(name) or {}).get("values")
            if words is not None and template is not True:
                made = [filled(template, {"value": word}) for word in (way.get("values") or {"": ""}).values()]
                assert {str(each) for each in made if "{" not in str(each)} <= set(words), (setting, name)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_listed_flag_is_used(engine: str):
    entry = package_data("engine_flags.yaml")["engines"][engine]
    used = {name for _, way in ways(engine) for name in ({way} if isinstance(way, str) else way["set"])}
    used |= {*entry["listen"], entry.get("config_file", {}).get("flag")}
    used |= {word for way in entry["start"] for word in way["words"]}
    assert not {*entry["flags"], *entry.get("files", {})} - used - {"--backend"}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_usual_release_is_one_the_profile_describes(engine: str):
    versions = package_data("engines.yaml")["engines"][engine]["versions"]
    entry = package_data("engine_flags.yaml")["engines"][engine]
    usual = version_key(entry["usual"])
    last = version_key(str(versions["last_seen"]))
    assert version_key(str(versions["newest"])) <= usual
    assert usual[: len(last)] <= last
    assert usual <= (*version_key(str(entry["checked"])), 99)


def test_a_flag_belongs_to_its_versions():
    old, new = engine_flags("vllm", "0.7.0"), engine_flags("vllm", "0.11.0")
    assert old.has("--speculative-model")
    assert not old.has("--speculative-config")
    assert new.has("--speculative-config")
    assert not new.has("--speculative-model")
    assert not new.has("--no-such-flag")
    assert old.takes("--kv-cache-dtype", "fp8")
    assert not old.takes("--kv-cache-dtype", "bfloat16")


def test_an_engine_without_a_server_or_without_flags_is_refused():
    with pytest.raises(UnsupportedCombination, match="no server to start"):
        engine_flags("tensorrt-llm", "0.12").start()
    with pytest.raises(UnsupportedCombination, match="no launch flags are recorded"):
        engine_flags("transformers")


def test_images_and_devices():
    assert engine_flags("vllm", "0.11").image("NVIDIA") == "vllm/vllm-openai:v0.11.0"
    assert engine_flags("sglang").image("AMD") is None
    assert device_resource("NVIDIA") == "nvidia.com/gpu"
    assert device_resource("Apple") is None
    assert benchmark_flags().start() == ["vllm", "bench", "serve"]
