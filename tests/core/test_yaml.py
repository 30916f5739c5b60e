"""YAML as people write it: numbers are numbers, keys appear once, errors name the line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsizer.core.errors import CatalogError
from llmsizer.core.yaml import MAX_DEPTH, dotted, load_file, load_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e12", 1e12),
        ("1E12", 1e12),
        ("-2.5e-3", -2.5e-3),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1_000.5", 1000.5),
        ("1e3_0", "1e3_0"),
        ("12", 12),
        ("1_000", 1000),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("2026-11-20", "2026-11-20"),
        ("0.10.0", "0.10.0"),
        ('"0.10"', "0.10"),
        (".inf", float("inf")),
        ("null", None),
        ("~", None),
    ],
)
def test_scalars(text: str, value: object):
    found = load_text(f"key: {text}").data["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3", 3, "duplicate key 'a' (first on line 1)"),
        ("top:\n  a: 1\n  b: 2\n  'a': 3", 4, "duplicate key 'a' (first on line 2)"),
        ("a: {b: 1, b: 2}", 1, "duplicate key 'b'"),
        ("1: x\n1: y", 2, "duplicate key '1'"),
        ("a: [1\nb: 2", 2, "not valid YAML"),
        ("a: b: c", 1, "not valid YAML"),
        ("a:\n\t- b", 2, "not valid YAML"),
        ("? [a, b]\n: 1", 1, "a key must be plain text"),
        ("a: !!python/object:os.system x", 1, "cannot read"),
        ("a: !!timestamp nonsense", 1, "cannot read"),
        ("a: !!int x", 1, "cannot read"),
        ("a: *nowhere", 1, "not valid YAML"),
        ("[" * (MAX_DEPTH + 5) + "]" * (MAX_DEPTH + 5), 1, "too deeply nested"),
        ("a: 1\n---\nb: 2", 2, "not valid YAML"),
    ],
)
def test_mistakes_name_file_and_line(text: str, line: int, message: str):
    with pytest.raises(CatalogError) as caught:
        load_text(text, "mine.yaml")
    assert message in str(caught.value)
    assert (caught.value.file, caught.value.line) == ("mine.yaml", line)
    assert str(caught.value).startswith(f"mine.yaml:{line}: ")


def test_lines_of_paths():
    document = load_text("a:\n  b:\n    - x\n    - {c: 1,\n       d: 2}\n")
    assert [document.line(path) for path in [("a",), ("a", "b", 1), ("a", "b", 1, "d")]] == [1, 4, 5]
    assert document.line(("a", "b", 1, "unknown")) == 4
    assert document.line(()) == 1
    assert str(document.error("is wrong", ("a", "b", 1, "d"), "hint")) == "<text>:5: a.b[1].d: is wrong\nhint"
    assert dotted(("a", 0, "b")) == "a[0].b"


def test_aliases_do_not_grow_without_bound():
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    with pytest.raises(CatalogError, match="too large"):
        load_text(bomb)


def test_files_that_cannot_be_read(tmp_path: Path):
    (tmp_path / "latin.yaml").write_bytes("name: caf\u00e9".encode("latin-1"))
    (tmp_path / "zero.yaml").write_bytes(b"a: \x00")
    for name in ("none.yaml", "latin.yaml", "zero.yaml", ""):
        with pytest.raises(CatalogError) as caught:
            load_file(tmp_path / name)
        assert str(tmp_path) in str(caught.value)
    (tmp_path / "empty.yaml").write_text("")
    assert load_file(tmp_path / "empty.yaml").data is None


@given(st.binary(max_size=200) | st.text(alphabet="a:1 \n-[]{}*&!?#'\"|>%@`,~\t0.e", max_size=80).map(str.encode))
def test_any_bytes_are_data_or_an_error(tmp_path: Path, content: bytes):
    path = tmp_path / "any.yaml"
    path.write_bytes(content)
    message = "any.yaml"
    try:
        load_file(path)
    except CatalogError as error:
        message = str(error)
    assert "any.yaml" in message
