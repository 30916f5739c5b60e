"""Trace files of every kind, and mistakes in them."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsizer.catalog.traces import read_trace
from llmsizer.core.errors import CatalogError

FILES = {
    "azure.csv": "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:05.4799600,3180,8\n",
    "azure_2024.csv": "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2024-05-10 00:00:00.0+00:00,4808,10\n2024-05-10 00:00:01.5+00:00,3180,8\n",
    "splitwise.csv": "request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size\n"
    "0,2,0,0.0,1,4808,10\n1,2,0,1.5,1,3180,8\n",
    "burstgpt.csv": "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,ChatGPT,4808,10,4818,Conversation log\n6.5,ChatGPT,3180,8,3188,API log\n",
    "plain.csv": "arrival,input,output\n3,4808,10\n4.5,3180,8\n",
    "bare.csv": "3,4808,10\n4.5,3180,8\n",
    "unordered.csv": "arrival,input,output\n4.5,3180,8\n3,4808,10\n",
    "mooncake.jsonl": '{"timestamp": 0, "input_length": 4808, "output_length": 10, "hash_ids": [1, 2]}\n'
    '{"timestamp": 1500, "input_length": 3180, "output_length": 8, "hash_ids": [1, 3]}\n',
    "seconds.jsonl": '{"arrival": 0, "input_tokens": 4808, "output_tokens": 10}\n'
    '{"arrival": 1.5, "input_tokens": 3180, "output_tokens": 8}\n',
    "windows.csv": "\ufeffarrival,input,output\r\n3,4808,10\r\n\r\n4.5,3180,8\r\n",
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_trace_is_read(tmp_path, name):
    (tmp_path / name).write_text(FILES[name])
    trace = read_trace(tmp_path / name)
    assert list(trace.arrival_seconds) == pytest.approx([0.0, 1.5])
    assert list(trace.input_tokens) == [4808, 3180]
    assert list(trace.output_tokens) == [10, 8]
    assert trace.requests_per_second == pytest.approx(1 / 1.5)
    assert trace.prefix_keys == (((1, 2), (1, 3)) if name == "mooncake.jsonl" else ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("arrival,input,output\n1,2,3\n2,x,3\n", ":3: input: expected a number, got 'x'"),
        ("arrival,input,output\n1,2,3\nsoon,2,3\n", ":3: arrival: expected seconds or a date"),
        ("arrival,input,output\n1,2\n", ":2: expected at least 3 columns"),
        ("arrival,input,output\n1,2,0\n", ":2: output: expected 1 to"),
        ("arrival,input,output\n1,2,2.5\n", ":2: output: expected a whole number"),
        ("arrival,input,output\n1,nan,2\n", ":2: input: expected a number"),
        ("arrival,prompt\n1,2\n", ":1: no column for input and output among"),
        ("arrival,input,output\n", "no requests"),
        ("", "no requests"),
        ('{"timestamp": 1, "input_length": 5}\n', ":1: no field output"),
        ('{"timestamp": 1, "input_length": 5, "output_length": 1}\nnot json\n', ":2: not JSON"),
        ('{"timestamp": 1, "input_length": 5, "output_length": 1, "hash_ids": ["a"]}\n', "hash_ids: expected a list"),
    ],
)
def test_mistakes_are_located(tmp_path, content, message):
    (tmp_path / "trace").write_text(content)
    with pytest.raises(CatalogError) as caught:
        read_trace(tmp_path / "trace")
    assert message in str(caught.value)


def test_failed_requests_can_be_left_out_and_reading_stops_at_the_limit(tmp_path):
    (tmp_path / "t.csv").write_text("arrival,input,output\n1,2,0\n2,5,6\n3,7,8\n4,oops,8\n")
    trace = read_trace(tmp_path / "t.csv", limit=2, skip_failed=True)
    assert list(trace.input_tokens) == [5, 7]
    with pytest.raises(CatalogError, match="cannot read"):
        read_trace(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CatalogError):
        read_trace(tmp_path / "b.csv")


@given(
    content=st.one_of(
        st.text(max_size=200),
        st.binary(max_size=100),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["timestamp", "input", "output", "hash_ids"]), inner, max_size=4)
            ),
            max_leaves=8,
        ).map(json.dumps),
    )
)
def test_no_content_gives_a_traceback(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("fuzz") / "t"
    file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    with suppress(CatalogError):
        read_trace(file)
