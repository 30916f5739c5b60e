"""Attention and scan curves: a refit on the sample, the errors they state, and what must always hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy")
pytest.importorskip("scipy")

from llmsizer.authoring.fit import attention, scans  # noqa: E402
from llmsizer.authoring.fit.kernel_samples import kernel_rows, units_of  # noqa: E402
from llmsizer.authoring.fit.least_squares import fit_parameters, relative_errors  # noqa: E402
from llmsizer.authoring.fit.measured import measured_devices, read_measured  # noqa: E402
from llmsizer.authoring.fit.rows import Rows, joined  # noqa: E402
from llmsizer.catalog.package_data import package_data  # noqa: E402
from llmsizer.formulas.attention import (  # noqa: E402
    attention_decode_seconds,
    attention_prefill_seconds,
    causal_pairs,
    scan_decode_seconds,
    scan_prefill_seconds,
    windowed_pairs,
)

FILE = Path(__file__).parents[2] / "measurements" / "kernels_attention.yaml"
FAMILIES = ("attention_prefill", "attention_decode", "latent_prefill", "latent_decode", "scan_prefill", "scan_decode")
# The sample is small: its median may differ this much from the one of all rows.
SAMPLING = 0.06
RESCALED = ("launch_seconds", "compute_fraction", "memory_fraction")


@pytest.fixture(scope="module")
def document() -> Any:
    return read_measured(FILE)


@pytest.fixture(scope="module")
def samples(document: Any) -> dict[str, list[tuple[dict[str, Any], Rows]]]:
    devices = measured_devices(document)
    units = units_of(document, sorted(devices))
    found: dict[str, list[tuple[dict[str, Any], Rows]]] = {name: [] for name in FAMILIES}
    for group in document["groups"]:
        name = group["device"]
        found[group["kind"]].append((group, kernel_rows(group, devices[name], units[name])))
    return found


def equation_of(family: str) -> Any:
    known = attention.FAMILIES.get(family)
    return known.equation if known is not None else scans.FAMILIES[family][0]


def parameters_of(family: str) -> Any:
    known = attention.FAMILIES.get(family)
    return known.parameters if known is not None else scans.FAMILIES[family][1]


def curve_for(family: str, device: str, architecture: str, backend: str, format_name: str) -> dict[str, Any]:
    """The most specific committed curve that applies."""
    best, chosen = (-1, -1), {}
    for curve in package_data(f"calibrations/{family}.yaml")["curves"]:
        fits = curve["format"] == format_name and curve["backend"] in (None, backend)
        fits &= curve["device"] in (None, device) and curve["architecture"] in (None, architecture)
        rank = (2 if curve["device"] else 1 if curve["architecture"] else 0, 1 if curve["backend"] else 0)
        if fits and rank > best:
            best, chosen = rank, curve
    return chosen


@pytest.mark.parametrize("family", FAMILIES)
def test_sample_agrees_with_committed_curves(family: str, samples: Any) -> None:
    errors, stated = [], []
    for group, rows in samples[family]:
        if group["use"] != "sample":
            continue
        curve = curve_for(family, rows.device, rows.architecture, rows.backend, rows.format)
        errors.append(relative_errors(equation_of(family), rows.inputs, rows.seconds, curve["parameters"]))
        stated.append(curve["error"]["median"])
    assert np.median(np.concatenate(errors)) <= np.median(stated) + SAMPLING
    assert np.median([np.median(each) for each in errors]) <= 0.15


@pytest.mark.parametrize("family", FAMILIES)
def test_refit_on_the_sample_gives_the_committed_times(family: str, samples: Any) -> None:
    curves = [curve for curve in package_data(f"calibrations/{family}.yaml")["curves"] if curve["architecture"] == "hopper"]
    curve = max((one for one in curves if one["device"] is None and one["format"] == "bf16"), key=lambda one: one["rows"])
    parts = [
        rows for group, rows in samples[family]
        if group["use"] == "sample" and rows.device in curve["devices"] and rows.backend in curve["backends"]
        and rows.format == "bf16" and rows.architecture == "hopper"
    ]  # fmt: skip
    inputs, seconds = joined(parts)
    committed = dict(curve["parameters"])
    fixed = {name: value for name, value in committed.items() if name not in RESCALED}
    again = fit_parameters(equation_of(family), inputs, seconds, parameters_of(family), fixed)
    change = equation_of(family)(**inputs, **again) / equation_of(family)(**inputs, **committed)
    assert abs(np.log(change)).mean() <= 0.2


def test_public_rows_of_common_shapes(samples: Any) -> None:
    for family, limit in (("attention_prefill", 0.2), ("attention_decode", 0.3)):
        errors = []
        for group, rows in samples[family]:
            if group["use"] == "public":
                curve = curve_for(family, rows.device, rows.architecture, rows.backend, rows.format)
                errors.append(relative_errors(equation_of(family), rows.inputs, rows.seconds, curve["parameters"]))
        assert np.median(np.concatenate(errors)) <= limit


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_physical_and_complete(family: str) -> None:
    document = package_data(f"calibrations/{family}.yaml")
    wanted = {one.name for one in parameters_of(family)}
    assert set(document["ideal"]) == wanted
    for curve in document["curves"]:
        assert set(curve["parameters"]) == wanted
        assert all(value >= 0.0 for value in curve["parameters"].values())
        assert all(value <= 1.0 for name, value in curve["parameters"].items() if name.endswith("fraction"))
    assert any(curve["architecture"] is None for curve in document["curves"])


sizes = st.floats(1.0, 1e5)
CURVES = {family: [c["parameters"] for c in package_data(f"calibrations/{family}.yaml")["curves"]] for family in FAMILIES}


def prefill(sequences: float, tokens: float, context: float, heads: float, parameters: Any, peak: float = 1e15) -> float:
    moved = sequences * (tokens * heads * 256.0 + (tokens + context) * heads * 64.0) * 2.0
    return float(
        attention_prefill_seconds(
            sequences,
            tokens,
            tokens + context,
            causal_pairs(tokens, context),
            heads,
            256.0,
            moved,
            132.0,
            peak,
            3e12,
            **parameters,
        )
    )


def decode(sequences: float, keys: float, groups: float, parameters: Any, peak: float = 1e15) -> float:
    moved = sequences * groups * (keys * 512.0 + 4.0 * 512.0)
    return float(attention_decode_seconds(sequences, keys, 4.0, groups, 256.0, 512.0, moved, 132.0, peak, 3e12, **parameters))


@settings(max_examples=60)
@given(sizes, sizes, sizes, st.integers(1, 128), st.floats(1.0, 8.0), st.integers(0, 10_000))
def test_prefill_rises_with_every_size_and_never_beats_the_ideal(
    sequences: float, tokens: float, context: float, heads: int, factor: float, which: int
) -> None:
    parameters = CURVES["attention_prefill"][which % len(CURVES["attention_prefill"])]
    here = prefill(sequences, tokens, context, heads, parameters)
    assert here >= prefill(sequences, tokens, context, heads, package_data("calibrations/attention_prefill.yaml")["ideal"])
    grown = (
        (sequences * factor, tokens, context, heads), (sequences, tokens * factor, context, heads),
        (sequences, tokens, context * factor, heads), (sequences, tokens, context, heads * factor),
    )  # fmt: skip
    for sizes_grown in grown:
        assert prefill(*sizes_grown, parameters) >= here * (1 - 1e-9)
    assert prefill(sequences, tokens, context, heads, parameters, 2e15) <= here * (1 + 1e-9)


@settings(max_examples=60)
@given(sizes, sizes, st.integers(1, 64), st.floats(1.0, 8.0), st.integers(0, 10_000))
def test_decode_rises_with_every_size_and_never_beats_the_ideal(
    sequences: float, keys: float, groups: int, factor: float, which: int
) -> None:
    parameters = CURVES["attention_decode"][which % len(CURVES["attention_decode"])]
    here = decode(sequences, keys, groups, parameters)
    assert here >= decode(sequences, keys, groups, package_data("calibrations/attention_decode.yaml")["ideal"])
    for grown in ((sequences * factor, keys, groups), (sequences, keys * factor, groups), (sequences, keys, groups * factor)):
        assert decode(*grown, parameters) >= here * (1 - 1e-9)
    assert decode(sequences, keys, groups, dict(parameters, splits=1.0)) >= here * (1 - 1e-9)


@given(st.floats(1.0, 1e5), st.floats(0.0, 1e5), st.floats(1.0, 1e5))
def test_windows_only_take_pairs_away(tokens: float, context: float, window: float) -> None:
    pairs = windowed_pairs(tokens, context, window)
    assert pairs <= causal_pairs(tokens, context) * (1 + 1e-9)
    assert pairs <= tokens * window * (1 + 1e-9)
    assert windowed_pairs(tokens, context, 1e12) == pytest.approx(causal_pairs(tokens, context))


def test_scans_rise_and_scalars_equal_arrays() -> None:
    sequences = np.array([1.0, 8.0, 64.0])
    for parameters in CURVES["scan_decode"]:
        times = scan_decode_seconds(sequences * 1e6, 3e12, **parameters)
        assert (np.diff(times) > 0).all()
        assert times[1] == pytest.approx(scan_decode_seconds(8e6, 3e12, **parameters))
    for parameters in CURVES["scan_prefill"]:
        times = scan_prefill_seconds(sequences * 128.0, sequences * 1e9, sequences * 1e6, 1e15, 3e12, **parameters)
        assert (np.diff(times) > 0).all()
    for parameters in CURVES["attention_decode"]:
        arrays = attention_decode_seconds(
            sequences, 1024.0, 4.0, 8.0, 256.0, 512.0, sequences * 4e6, 132.0, 1e15, 3e12, **parameters
        )
        one = attention_decode_seconds(8.0, 1024.0, 4.0, 8.0, 256.0, 512.0, 3.2e7, 132.0, 1e15, 3e12, **parameters)
        assert arrays[1] == pytest.approx(one)
