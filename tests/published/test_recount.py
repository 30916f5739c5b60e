"""Every model of the catalog counted again from its blocks, against what was published of it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

import llmsizer
from llmsizer.blocks.operation import Role
from llmsizer.core.explain import plain
from llmsizer.schema.model import Model
from llmsizer.sizing.lowering import (
    active_parameters,
    lower,
    mtp_parameters,
    parameters_by_part,
    stack_elements,
    total_parameters,
)

NAMES = llmsizer.load_catalog().names("models")
EACH = pytest.mark.parametrize("name", NAMES)
# The most a rounded announcement may be away from the count, as a share of it.
WIDEST = 0.03


def table(model: Model) -> float:
    """Elements of the token embedding (which is the head as well where it is tied)."""
    return float(plain(model.embedding_rows or model.vocab_size)) * float(plain(model.hidden_size))


def head(model: Model) -> float:
    """Elements of an output projection of its own."""
    tied = model.tie_word_embeddings or not model.lm_head
    return 0.0 if tied else float(plain(model.vocab_size)) * float(plain(model.hidden_size))


def all_embeddings(model: Model) -> float:
    """Elements of every embedding table, those of single layers included."""
    return float(plain(stack_elements(lower(model).embedding)))


LEFT_OUT = {
    "all": lambda model: 0.0,
    "minus_embedding": table,
    "minus_embedding_and_head": lambda model: table(model) + head(model),
    "minus_all_embeddings": all_embeddings,
}


def stored(model: Model) -> float:
    """Elements of the published checkpoint: the running model, and what its checks say is stored besides."""
    checks = model.checks
    found = float(plain(total_parameters(model))) + checks.extra_elements
    if "mtp" in checks.includes:
        found += float(plain(mtp_parameters(model)))
    return found + (table(model) if "tied_head_copy" in checks.includes else 0.0)


@EACH
def test_total_parameters(name: str, catalog: llmsizer.Catalog):
    model = catalog.model(name)
    checks = model.checks
    assert checks.total_parameters, "no published total"
    assert set(checks.includes) <= {"mtp", "tied_head_copy"}
    assert abs(stored(model) - checks.total_parameters) <= checks.tolerance
    assert checks.tolerance <= WIDEST * checks.total_parameters


@EACH
def test_active_parameters(name: str, catalog: llmsizer.Catalog):
    model = catalog.model(name)
    checks, active = model.checks, float(plain(active_parameters(model)))
    assert active <= plain(total_parameters(model))
    if checks.active_parameters is None:
        pytest.skip("none published")
    counted = active - LEFT_OUT[checks.active_convention](model)
    assert abs(counted - checks.active_parameters) <= checks.active_tolerance


@EACH
def test_parts_sum_to_the_total(name: str, catalog: llmsizer.Catalog):
    model = catalog.model(name)
    running = [part for part in parameters_by_part(model) if part.part != Role.MTP.value]
    assert sum(plain(part.total) for part in running) == plain(total_parameters(model))
    assert sum(plain(part.active) for part in running) == pytest.approx(plain(active_parameters(model)), rel=1e-12)


@EACH
def test_layers_are_all_there_once(name: str, catalog: llmsizer.Catalog):
    model = catalog.model(name)
    places: Iterable[int] = [index for stack in lower(model).layers for index in stack.indices]
    if model.encoder_tokens is None:
        assert sorted(places) == list(range(model.num_hidden_layers))
    assert all(len(stack.indices) == plain(stack.count) for stack in lower(model).layers)
