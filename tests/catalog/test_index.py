"""The compiled catalog is the same as the YAML files, and is never trusted when they changed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import llmsizer
from llmsizer.catalog import index
from llmsizer.catalog.package_data import DATA, DOCUMENTS, RECORD_FILES, package_file, package_yaml
from llmsizer.catalog.records import SECTIONS


@pytest.fixture(scope="module")
def compiled() -> dict[str, dict[str, index.Record]]:
    return index.compile_records()


def test_compiled_and_parsed_agree(tmp_path: Path, compiled: dict[str, dict[str, index.Record]]):
    index.write_compiled(tmp_path / "index.json", compiled)
    content = json.loads((tmp_path / "index.json").read_text())
    for section in SECTIONS:
        lazy = index._LazyRecords(content["entries"][section], content["aliases"][section])
        assert list(lazy) == list(compiled[section])
        for name, record in compiled[section].items():
            assert json.loads(json.dumps(record.data)) == lazy[name].data
            assert record.provenance() == lazy[name].provenance()
            assert record.aliases == lazy.aliases_of(name)
    for name in DOCUMENTS:
        assert json.loads(content["documents"][name]) == json.loads(json.dumps(package_yaml(name).data))


def test_every_data_file_is_known():
    """A YAML file that is in no list would neither be hashed nor compiled."""
    found = {str(path.relative_to(DATA)) for path in DATA.rglob("*.yaml")}
    assert found <= {*RECORD_FILES, *DOCUMENTS}
    assert all(package_file(name).exists() for name in (*RECORD_FILES, *DOCUMENTS))


def test_every_entry_makes_its_noun(catalog: llmsizer.Catalog):
    for section in ("accelerators", "cpus", "nodes", "models"):
        assert catalog.names(section)
    for name in catalog.names("nodes"):
        node = catalog.node(name)
        assert node.accelerator in catalog.names("accelerators"), name
        assert node in catalog.nodes_of(node.accelerator)
    for name in catalog.names("models"):
        model = catalog.model(name)
        assert catalog.scheme(model.native_quantization)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"hash": "x"}', "\x00"])
def test_a_broken_cache_is_ignored(tmp_path: Path, content: str):
    cache = tmp_path / "llmsizer"
    cache.mkdir()
    for path in ("catalog-4.json", "catalog-5.json", "catalog-6.json"):
        (cache / path).write_text(content)
    code = "import llmsizer; print(llmsizer.estimate('llama-3.1-8b', 'h100').fits)"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"XDG_CACHE_HOME": str(tmp_path), "PATH": ""},
    )  # fmt: skip
    assert told.stdout.strip() == "True"


def test_no_home_and_no_cache_works():
    code = "import llmsizer; print(llmsizer.estimate('llama-3.1-8b', 'h100').fits)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PATH": ""})
    assert told.stdout.strip() == "True"
