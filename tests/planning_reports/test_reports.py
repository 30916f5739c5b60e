"""Reports: whole ones against golden files, the same bytes every time, and no name read as markup."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmsizer
from llmsizer.planner.plan_file import read_plan_file
from llmsizer.planner.planning import Answer, Planning
from llmsizer.report.planning.blocks import Code, Facts, Folded, Paragraph, Picture, Report, Section
from llmsizer.report.planning.content import report_of
from llmsizer.report.planning.html import as_html
from llmsizer.report.planning.markdown import as_markdown
from llmsizer.report.planning.writing import check_output, report_text, write_report
from llmsizer.report.tables import Table

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from renew import GOLDEN, golden_texts  # noqa: E402


@pytest.mark.parametrize("suffix", [".md", ".html", ".csv"])
def test_the_whole_report_is_as_it_was(suffix: str, planning: Planning) -> None:
    before = (GOLDEN / f"report{suffix}").read_text(encoding="utf-8")
    assert golden_texts(planning)[suffix] == before, "python tests/planning_reports/renew.py renews it"


def test_the_same_plan_makes_the_same_bytes(planning: Planning, world: llmsizer.Catalog) -> None:
    again = read_plan_file(HERE / "plan.yaml", world).answer(world)
    for suffix in (".html", ".json", ".csv"):
        assert report_text(planning, suffix) == report_text(again, suffix)


def test_date_and_versions_stand_in_one_block(planning: Planning, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = []
    for seconds in ("0", "1000000000"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", seconds)
        texts.append(report_text(planning, ".html", plots=False).splitlines())
    differing = [(a, b) for a, b in zip(*texts, strict=True) if a != b]
    assert differing == [("<dt>date</dt><dd>1970-01-01</dd>", "<dt>date</dt><dd>2001-09-09</dd>")]


def test_json_has_every_plan(planning: Planning) -> None:
    data = json.loads(report_text(planning, ".json"))
    names = [("today", "chat"), ("today", "digest"), ("next year", "chat"), ("next year", "digest")]
    assert [(each["scenario"], each["workload"]) for each in data["plans"]] == names
    assert not data["meets_targets"]
    assert data["scenarios"][1]["usd_per_hour"] is None
    picked = [each["picks"][0]["usd_per_hour"] for each in data["plans"][:2]]
    assert data["scenarios"][0]["usd_per_hour"] == pytest.approx(sum(picked))
    assert set(data["made_with"]) == {"date", "llmsizer", "catalogs", "laid over", "Python"}


def test_the_answer_comes_first(planning: Planning) -> None:
    text = report_text(planning, ".md")
    best = planning.answers[0].plan.best
    assert best is not None
    assert f"{best.usd_per_hour:,.2f}" in "\n".join(text.splitlines()[:12])
    assert "nothing meets the targets" in "\n".join(text.splitlines()[:12])


class Page(HTMLParser):
    """The elements of a page, and everything that would be fetched or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.fetched: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href", "action", "data"}:
                self.fetched.append(str(value))
            self.handlers += [name] if name.startswith("on") else []
            self.ids += [str(value)] if name == "id" else []
        if tag not in {"meta", "use", "path", "br", "input"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"use", "path"}:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in {"meta", "use", "path", "br", "input"}:
            self.open.pop()


def test_the_page_needs_nothing_else(planning: Planning) -> None:
    text = report_text(planning, ".html")
    page = Page(text)
    assert not page.open
    assert all(place.startswith("#") for place in page.fetched)
    assert "@import" not in text
    assert "url(http" not in text
    assert not page.handlers
    assert page.elements.count("script") == page.elements.count("style") == 1
    assert "default-src 'none'" in text


def test_drawings_are_proper_and_their_colours_are_the_pages(planning: Planning) -> None:
    report = report_of(planning)
    figures = [block for section in report.sections for block in section.blocks if isinstance(block, Section)]
    drawn = [each for section in figures for each in section.blocks if isinstance(each, Picture)]
    assert [each.title for each in drawn[:6]] == [
        "Cost against the time of a token", "Latency against load", "Cost against demand", "Memory of one device",
        "Roofline of the pick", "What moves the answer",
    ]  # fmt: skip
    for each in drawn:
        root = ElementTree.fromstring(each.svg)
        assert root.tag.endswith("svg")
        assert "var(--" in each.svg
        assert "mathdefault" not in each.svg
        assert each.numbers.rows
        assert "width" not in root.attrib


def test_without_drawings_the_numbers_stay(planning: Planning) -> None:
    text = report_text(planning, ".html", plots=False)
    assert "<svg" not in text
    assert "Latency against load" in text


HOSTILE = [
    "<script>alert(1)</script>", "</td><img src=x onerror=alert(1)>", "![x](http://example.com/x.png)", "[a](javascript:b)",
    "`code` **bold** | cell", "$\\frac{a}{b}$ $", '"><svg onload=x>', "a\n\n# heading\n\n- item", "&lt;b&gt; &amp;",
    "1. item", "- item", "~~~\nfence", "]]><!--", "{{ 7 * 7 }} {% raw %}",
]  # fmt: skip


def hostile_report(text: str) -> Report:
    """Every kind of block with a text in each place that takes one."""
    table = Table(text, [text, "b"], [[text, text]], right=(1,))
    blocks = [
        Paragraph(text), Facts([(text, text)]), Code("sh", text), table, Folded(text, [Paragraph(text)]),
        Section(text, [Picture(text, text, "<svg></svg>", table)], 3),
    ]  # fmt: skip
    return Report(text, text, blocks, [Section(text, blocks)], [(text, text)])


PLAIN = Page(as_html(hostile_report("plain"))).elements


@settings(max_examples=40)
@given(text=st.sampled_from(HOSTILE) | st.text(min_size=1, max_size=40))
def test_no_text_becomes_markup_in_html(text: str) -> None:
    page = Page(as_html(hostile_report(text)))
    assert page.elements == PLAIN
    assert not page.handlers
    assert not page.fetched


CODE = re.compile(r"^(`{3,}).*?^\1$", re.MULTILINE | re.DOTALL)


@settings(max_examples=40)
@given(text=st.sampled_from(HOSTILE) | st.text(min_size=1, max_size=40))
def test_no_text_becomes_markup_in_markdown(text: str) -> None:
    written = CODE.sub("", as_markdown(hostile_report(text)))
    summaries = re.findall(r"^<details><summary>(.*)</summary>$", written, re.MULTILINE)
    assert summaries
    assert not any("<" in each for each in summaries)
    outside = re.sub(r"^(<details><summary>.*</summary>|</details>)$", "", written, flags=re.MULTILINE)
    assert not re.search(r"(?<!\\)(?:\\\\)*<", outside)
    assert not re.search(r"(?<!\\)(?:\\\\)*\]\(", outside)
    assert [len(line) - len(line.lstrip("#")) for line in outside.splitlines() if line.startswith("#")] == [1, 3, 2, 3, 2]


def named(planning: Planning, name: str) -> Planning:
    """A planning whose every name is another."""
    answers = tuple(Answer(name, name, each.plan) for each in planning.answers[:1])
    return replace(planning, title=name, description=name, answers=answers)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_a_plan_stay_text(name: str, planning: Planning) -> None:
    usual = Page(report_text(named(planning, "plain"), ".html", plots=False))
    assert Page(report_text(named(planning, name), ".html", plots=False)).elements == usual.elements


def test_a_drawing_takes_any_name() -> None:
    from llmsizer.report.planning.svg import Sheet

    for name in HOSTILE:
        with Sheet(keys=1) as sheet:
            axes = sheet.figure.subplots()
            sheet.tip(axes.scatter([1, 2], [1, 2], label=name), [name, name])
            axes.set_xlabel(name)
            sheet.legend(axes)
        elements = {each.tag.rpartition("}")[2] for each in ElementTree.fromstring(sheet.svg).iter()}
        assert elements <= {"svg", "g", "path", "use", "text", "tspan", "defs", "clipPath", "rect", "title", "style"}


def test_reports_are_written_whole_or_not_at_all(tmp_path: Path, planning: Planning) -> None:
    path = tmp_path / "report.md"
    write_report(planning, path)
    before = path.read_text(encoding="utf-8")
    with pytest.raises(llmsizer.LlmsizerError, match="cannot be written"):
        write_report(planning, tmp_path / "none" / "report.md")
    write_report(planning, path)
    assert path.read_text(encoding="utf-8") == before
    assert [each.name for each in tmp_path.iterdir()] == ["report.md"]


@pytest.mark.parametrize("name", ["report.pdf", "report", "none/report.html"])
def test_a_file_that_cannot_be_made_is_refused_at_once(name: str, tmp_path: Path) -> None:
    with pytest.raises(llmsizer.LlmsizerError, match="--output"):
        check_output(tmp_path / name, plots=True)


def test_drawings_without_matplotlib_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import llmsizer.report.planning.writing as writing

    monkeypatch.setattr(writing, "find_spec", lambda name: None)
    with pytest.raises(llmsizer.LlmsizerError, match="matplotlib") as error:
        check_output(Path("report.html"), plots=True)
    assert "--no-plots" in error.value.hint
    check_output(Path("report.html"), plots=False)
    check_output(Path("report.md"), plots=True)


def test_a_plan_of_the_command_line_has_a_report_too(world: llmsizer.Catalog) -> None:
    words: dict[str, Any] = {"hardware": ["acme-x1-96gb"], "request_rate": 2, "confirm": False, "calibration": "ideal"}
    plan = llmsizer.plan("chat-8b", catalog=world, targets={"tpot": "50 ms"}, **words)
    text = report_text(Planning("", "", (Answer("", "", plan),)), ".md")
    assert text.startswith("# Plan\n\nchat-8b: 2 requests/s")
    assert "- **Run**: " in text
