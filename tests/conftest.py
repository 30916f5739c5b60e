"""What all tests share: the same random examples every time, and no files of the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import llmsizer

SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("same", derandomize=True, deadline=None, database=None, suppress_health_check=SLOW_IS_FINE)
settings.load_profile("same")


@pytest.fixture(scope="session", autouse=True)
def no_user_catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps overlays of the person who runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LLMSIZER_CATALOG", raising=False)
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session")
def catalog(no_user_catalog: None) -> llmsizer.Catalog:
    """The built-in catalog."""
    return llmsizer.load_catalog()


@pytest.fixture(scope="session")
def top() -> Path:
    """The repository's top."""
    return Path(__file__).parents[1]
