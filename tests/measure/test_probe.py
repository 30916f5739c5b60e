"""A catalog entry from measured ceilings."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import DEVICE, ceilings, empty_record

import llmsizer
from llmsizer.authoring.measure.probe import device_entry, entry_text
from llmsizer.catalog.catalog import Catalog
from llmsizer.cli.main import run
from llmsizer.core.errors import InvalidQuestion
from llmsizer.validation.run_files import write_run


def test_the_entry_is_a_device_of_the_catalog(nouns: Catalog, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_run(tmp_path / "run.yaml", empty_record(ceilings=ceilings(nouns)))
    out = tmp_path / "device.yaml"
    assert run(["hardware", "probe", "--record", str(tmp_path / "run.yaml"), "--id", "my-cpu", "-o", str(out)]) == 0
    catalog = llmsizer.load_catalog([out])
    device = catalog.accelerator("my-cpu")
    assert device.architecture == "cpu"
    assert device.memory_bandwidth == pytest.approx(18e9, rel=0.1)
    assert 1e12 < device.peak_dense["bf16"] < 2e12
    assert device.provenance.of("memory_bandwidth").tier == "measured"
    assert llmsizer.estimate("qwen2.5-0.5b", "my-cpu", engine="torch", catalog=catalog).latency.tpot_seconds > 0
    assert run(["hardware", "probe", "--record", str(tmp_path / "run.yaml")]) == 0
    assert "test-cpu-2-threads:" in capsys.readouterr().out


def test_an_unknown_cuda_device_takes_its_architecture_from_its_capability(nouns: Catalog):
    environment = {
        **empty_record()["environment"],
        "kind": "cuda",
        "device": "NVIDIA X9",
        "compute_capability": "9.0",
        "units": 100,
    }
    record = empty_record(environment=environment, ceilings=ceilings(nouns))
    name, entry = device_entry(record, None, nouns)
    assert name == "nvidia-x9"
    assert entry["architecture"] == nouns.accelerator("h100").architecture
    assert "accelerators:" in entry_text(name, entry, record)


def test_a_record_without_ceilings_makes_no_entry(nouns: Catalog):
    with pytest.raises(InvalidQuestion, match="no ceilings"):
        device_entry(empty_record(), DEVICE, nouns)
