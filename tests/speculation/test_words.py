"""The words of speculative decoding: presets with their sources, own figures, conversions, refusals."""

from __future__ import annotations

from typing import Any

import pytest

import llmsizer
from llmsizer.catalog.acceptance import methods, published, usual_content
from llmsizer.core.errors import InvalidQuestion, LlmsizerError, UnsupportedCombination
from llmsizer.core.explain import plain
from llmsizer.formulas.speculation import speculated_tokens
from llmsizer.question.speculation import METHODS, continued
from llmsizer.question.written import read_speculative
from llmsizer.sizing.speculation import acceptance_of_length, yielded_tokens

WORDS: dict[str, Any] = {"model": "llama-3.1-8b", "hardware": "h100", "max_model_len": 4096}


def asked(**speculative: Any) -> llmsizer.Estimate:
    return llmsizer.estimate(**WORDS, speculative=speculative)


def yielded(estimate: llmsizer.Estimate) -> float:
    assert estimate.case.draft is not None
    return float(plain(yielded_tokens(estimate.case.draft)))


def test_every_published_figure_is_possible() -> None:
    assert set(methods()) == set(METHODS)
    for contents in methods().values():
        for rows in contents.values():
            for row in rows:
                assert sum(figure is not None for figure in (row.profile or None, row.length, row.acceptance)) == 1
                assert list(row.profile) == sorted(row.profile, reverse=True)
                assert len(row.profile) in (0, row.guesses)
                assert row.length is None or 1 <= row.length <= row.guesses + 1
                assert row.tree is None or row.tree >= row.guesses


@pytest.mark.parametrize("method", METHODS)
def test_what_stands_in_is_published_for_a_chain(method: str) -> None:
    content = usual_content(method)
    if content is not None:
        assert published(method, content, 3, None).source.title


def test_a_preset_shows_with_its_source() -> None:
    estimate = asked(method="eagle3", num_speculative_tokens=3, acceptance="code")
    (note,) = [note for note in estimate.notes if note.startswith("guesses: ")]
    assert "InstructCoder" in note
    assert "2026-04-01" in note
    assert "assumed" not in note
    assert "SpecDecode-Bench" in estimate.explain("latency.tpot_seconds")


def test_without_a_word_the_usual_content_is_assumed() -> None:
    estimate = asked(method="ngram")
    assert any(note.endswith("assumed, as none is given") for note in estimate.notes)
    assert (estimate.evidence.tier, estimate.evidence.weakest) == ("assumed", "acceptance of guesses")


def test_own_figures_leave_no_note() -> None:
    for given in ({"acceptance": 0.7}, {"profile": "0.8/0.7/0.5"}, {"reported": 0.45}, {"length": 2.6}):
        assert not [note for note in asked(method="eagle3", **given).notes if note.startswith("guesses")]


def test_the_four_ways_agree() -> None:
    length = 1 + 0.8 + 0.64 + 0.512
    ways = ({"acceptance": 0.8}, {"profile": [0.8, 0.64, 0.512]}, {"reported": (length - 1) / 3}, {"length": length})
    found = [yielded(asked(method="eagle3", num_speculative_tokens=3, **way)) for way in ways]
    assert found == pytest.approx([length] * 4)


def test_a_reported_rate_is_no_chance() -> None:
    assert yielded(asked(method="eagle3", num_speculative_tokens=3, reported=0.45)) == pytest.approx(2.35)
    assert speculated_tokens(0.45, 3) == pytest.approx(1.744, abs=1e-3)


@pytest.mark.parametrize("guesses", [1, 3, 7])
@pytest.mark.parametrize("acceptance", [0.0, 0.3, 0.95, 1.0])
def test_a_length_leads_back_to_its_chance(acceptance: float, guesses: int) -> None:
    found = acceptance_of_length(speculated_tokens(acceptance, guesses), guesses)
    assert speculated_tokens(found, guesses) == pytest.approx(speculated_tokens(acceptance, guesses))


def test_fewer_and_more_guesses_than_were_measured() -> None:
    two = asked(method="eagle3", num_speculative_tokens=2, acceptance="chat")
    assert yielded(two) == pytest.approx(1 + 0.6223 + 0.3816)
    many = asked(method="eagle3", num_speculative_tokens=12, acceptance="chat")
    assert any("extrapolated beyond its 8 guesses" in note for note in many.notes)
    assert many.evidence.weakest == "acceptance of guesses"
    assert yielded(many) > yielded(two)
    assert continued((0.5,), 2) == (0.5, 0.25)


def test_a_tree_is_verified_whole() -> None:
    chain = asked(method="eagle", num_speculative_tokens=3, acceptance="maths")
    tree = asked(method="eagle", num_speculative_tokens=3, tree=21, acceptance="maths")
    assert (yielded(chain), yielded(tree)) == (pytest.approx(2.25), pytest.approx(2.92))
    assert chain.decode is not None
    assert tree.decode is not None
    assert float(plain(tree.decode.flop)) > 4 * float(plain(chain.decode.flop))


def test_the_first_layers_bring_no_weights() -> None:
    plainly, own = llmsizer.estimate(**WORDS), asked(method="self", layers=8, acceptance=0.7)
    assert own.memory.per_gpu.weights_bytes == plainly.memory.per_gpu.weights_bytes
    assert own.memory.kv_slots == plainly.memory.kv_slots
    assert own.speculation is not None
    deeper = asked(method="self", layers=16, acceptance=0.7)
    assert deeper.speculation is not None
    assert own.speculation.gain > deeper.speculation.gain


def test_eagle_3_reads_more_states() -> None:
    one, three = asked(method="eagle", acceptance=0.7), asked(method="eagle3", acceptance=0.7)
    hidden = one.case.model.hidden_size
    grown = float(plain(three.memory.per_gpu.weights_bytes)) - float(plain(one.memory.per_gpu.weights_bytes))
    assert grown == pytest.approx(2 * hidden * hidden)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"method": "medusa"}, "is not known"),
        ({"method": "medusa", "acceptance": "general"}, "tree=63"),
        ({"method": "eagle3", "acceptance": "poetry"}, "no acceptance of 'poetry'"),
        ({"method": "eagle3", "acceptance": 1.5}, "from 0 to 1"),
        ({"method": "eagle3", "acceptance": 0.7, "length": 2}, "say the same thing"),
        ({"method": "eagle3", "profile": "0.5/0.7"}, "rises"),
        ({"method": "eagle3", "num_speculative_tokens": 3, "profile": "0.7/0.5"}, "a profile of 2"),
        ({"method": "eagle3", "num_speculative_tokens": 3, "length": 5}, "from 1 to 4"),
        ({"method": "eagle3", "num_speculative_tokens": 5, "tree": 3}, "from 5"),
        ({"method": "self", "acceptance": 0.5}, "layers"),
        ({"method": "self", "layers": 32, "acceptance": 0.5}, "from 1 to 31"),
        ({"method": "ngram", "layers": 3}, "layers"),
        ({"method": "eagle4"}, "eagle4"),
        ({"method": "ngram", "reportd": 0.4}, "reportd"),
    ],
)
def test_mistakes_are_told(given: dict[str, Any], says: str) -> None:
    with pytest.raises(LlmsizerError) as told:
        asked(**given)
    assert isinstance(told.value, (InvalidQuestion, UnsupportedCombination))
    assert says in str(told.value)


def test_words_of_the_command_line() -> None:
    assert read_speculative("draft:llama-3.2-1b:5:length=2.6") == {
        "method": "draft", "model": "llama-3.2-1b", "num_speculative_tokens": 5, "length": "2.6",
    }  # fmt: skip
    assert read_speculative("eagle3:3:profile=0.8/0.7/0.5") == {
        "method": "eagle3", "num_speculative_tokens": 3, "profile": "0.8/0.7/0.5",
    }  # fmt: skip


def test_words_of_the_command_line_serve_python_too() -> None:
    words: dict[str, Any] = {"tensor_parallel_size": 2, "max_model_len": 8192}
    written = llmsizer.estimate("llama-3.1-70b", "h200", speculative="draft:llama-3.2-1b:5", **words)
    mapped = {"method": "draft", "model": "llama-3.2-1b", "num_speculative_tokens": 5}
    assert written.to_dict() == llmsizer.estimate("llama-3.1-70b", "h200", speculative=mapped, **words).to_dict()
    with pytest.raises(InvalidQuestion, match="--adapters: expected COUNTxRANK"):
        llmsizer.estimate("llama-3.1-70b", "h200", adapters="many", **words)
