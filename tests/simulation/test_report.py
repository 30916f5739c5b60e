"""Tables, CSV and plots of a simulation, and its speed."""

from __future__ import annotations

import csv
import io
import time

import pytest
from synthetic_engine import Linear

from llmsizer.core.errors import LlmsizerError
from llmsizer.report.simulation import requests_csv, save_plots, simulation_tables
from llmsizer.report.tables import as_markdown, as_text
from llmsizer.schema.workload import ClosedLoop, Fixed, OpenLoop, RequestClass, Targets, Traffic, Uniform, simple_traffic
from llmsizer.simulation import EngineSpec, simulate


@pytest.fixture(scope="module")
def result():
    classes = (RequestClass(name="chat", targets=Targets(ttft_seconds=0.2)), RequestClass(name="tiny", output_tokens=Fixed(1)))
    traffic = Traffic(arrivals=OpenLoop(requests_per_second=5), classes=classes)
    return simulate(traffic, EngineSpec(steps=Linear(), kv_blocks=9000), replicas=2, num_prompts=200)


def test_tables_have_every_figure(result):
    tables = simulation_tables(result)
    text = "\n".join(as_text(table) for table in tables)
    for word in ("TTFT", "TPOT", "p99", "requests/s", "KV cache used", "chat", "tiny", "preemptions", "steady part"):
        assert word in text
    assert all(as_markdown(table) for table in tables)


def test_csv_has_a_row_for_each_request(result):
    rows = list(csv.DictReader(io.StringIO(requests_csv(result))))
    assert len(rows) == 200
    assert rows[0]["class"] in ("chat", "tiny")
    assert all(row["tpot_seconds"] == "" for row in rows if row["class"] == "tiny")
    assert float(rows[5]["ttft_seconds"]) == pytest.approx(
        float(rows[5]["first_token_seconds"]) - float(rows[5]["sent_seconds"])
    )


def test_plots_are_written(result, tmp_path):
    pytest.importorskip("matplotlib")
    save_plots(result, tmp_path / "run.svg")
    assert (tmp_path / "run.svg").stat().st_size > 10_000
    with pytest.raises(LlmsizerError, match="cannot be written"):
        save_plots(result, tmp_path / "none" / "run.png")


def test_progress_is_told():
    seen: list[tuple[int, int]] = []
    traffic = simple_traffic(ClosedLoop(concurrency=4), 10, 5)
    simulate(traffic, EngineSpec(steps=Linear(), kv_blocks=90), num_prompts=250, progress=lambda *at: seen.append(at))
    assert seen[-1] == (250, 250)
    assert 100 <= len(seen) <= 126


@pytest.mark.parametrize("users", [64, 256])
def test_ten_thousand_requests_take_less_than_two_seconds(users):
    traffic = simple_traffic(ClosedLoop(concurrency=users), Uniform(820, 1024), Uniform(205, 256))
    start = time.process_time()
    simulate(traffic, EngineSpec(steps=Linear(), kv_blocks=40000), num_prompts=10_000).to_dict()
    assert time.process_time() - start < 2.0
