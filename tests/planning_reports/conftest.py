"""A planning of a world of its own: devices, model and prices are the tests', efficiencies are ideal."""

from __future__ import annotations

from pathlib import Path

import pytest

import llmsizer
from llmsizer.planner.plan_file import read_plan_file
from llmsizer.planner.planning import Planning

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def world(no_user_catalog: None) -> llmsizer.Catalog:
    """The built-in catalog with the tests' own devices, model and prices over it."""
    return llmsizer.load_catalog(HERE / "catalog.yaml")


@pytest.fixture(scope="session")
def planning(world: llmsizer.Catalog) -> Planning:
    """The answers of ``plan.yaml``."""
    return read_plan_file(HERE / "plan.yaml", world).answer(world)
