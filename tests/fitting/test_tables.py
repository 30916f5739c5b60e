"""The reader of published kernel tables, on a table made here."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from llmsizer.authoring.fit.rows import shape_numbers
from llmsizer.authoring.fit.tables import read_tables
from llmsizer.core.errors import CatalogError

PATH = "systems/data/h100_sxm/gemm/trtllm/1.2.3/gemm_perf.parquet"


@pytest.fixture
def folder(tmp_path):
    pytest.importorskip("pyarrow")
    import pyarrow
    import pyarrow.parquet

    file = tmp_path / "package" / PATH
    file.parent.mkdir(parents=True)
    pyarrow.parquet.write_table(pyarrow.table({"m": [1, 2], "gemm_dtype": ["fp8", "bfloat16"]}), file)
    return tmp_path / "package"


def test_a_folder_and_a_wheel_read_alike(folder, tmp_path):
    wheel = tmp_path / "package.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(folder / PATH, f"aiconfigurator_core/{PATH}")
    for source in (folder, wheel):
        (table,) = read_tables(source, "gemm", "gemm_perf.parquet")
        assert (table.device, table.backend, table.version) == ("h100-sxm5-80gb", "tensorrt-llm", "1.2.3")
        assert table.where(table.columns["gemm_dtype"] == "fp8").columns["m"].tolist() == [1]


def test_a_missing_package_says_what_to_do():
    with pytest.raises(CatalogError, match="not installed"):
        list(read_tables(None, "gemm", "gemm_perf.parquet"))


def test_equal_shapes_share_a_number_and_fold():
    numbers = shape_numbers(np.array([4096, 4096, 8192]), np.array([128, 128, 128]))
    assert numbers[0] == numbers[1] != numbers[2]
    many = shape_numbers(*np.meshgrid(np.arange(128, 8192, 128), np.arange(128, 8192, 128)))
    assert np.bincount(many.ravel() % 5).min() > 0.15 * many.size
