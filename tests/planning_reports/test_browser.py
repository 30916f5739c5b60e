"""A report in headless Chromium: it renders, says nothing on the console, and asks for nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from llmsizer.planner.planning import Planning
from llmsizer.report.planning.writing import write_report

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--enable-logging=stderr",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


def opened(page: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    command = [CHROMIUM, *QUIET, f"--user-data-dir={folder / 'profile'}", *words, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=folder)


def asked_for(log: Path) -> list[str]:
    """What pages asked for; requests of the browser itself have no origin."""
    events = [each.get("params", {}) for each in json.loads(log.read_text(encoding="utf-8"))["events"]]
    return [each["url"] for each in events if each.get("initiator", "not an origin") != "not an origin"]


@pytest.fixture(scope="module")
def page(planning: Planning, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(planning, path)
    return path


def test_the_page_renders_without_a_word_or_a_request(page: Path, tmp_path: Path) -> None:
    log, picture = tmp_path / "net.json", tmp_path / "page.png"
    found = opened(page, tmp_path, f"--log-net-log={log}", f"--screenshot={picture}", "--window-size=1000,3000", "--dump-dom")
    assert "CONSOLE" not in found.stderr
    assert picture.stat().st_size > 50_000
    assert re.search(r"<th[^>]*><button type=\"button\">", found.stdout), "the script ran"
    assert "Find in this table" in found.stdout
    assert not asked_for(log)


def test_a_request_of_a_page_would_be_seen(tmp_path: Path) -> None:
    log, page = tmp_path / "net.json", tmp_path / "page.html"
    page.write_text('<img src="http://example.invalid/x.png">', encoding="utf-8")
    opened(page, tmp_path, f"--log-net-log={log}", "--dump-dom")
    assert "http://example.invalid/x.png" in asked_for(log)


def test_a_script_that_is_not_the_pages_own_does_not_run(page: Path, tmp_path: Path) -> None:
    forged = tmp_path / "forged.html"
    text = page.read_text(encoding="utf-8").replace("</main>", "<script>document.title = 'run'</script></main>")
    forged.write_text(text, encoding="utf-8")
    found = opened(forged, tmp_path, "--dump-dom")
    assert "<title>Support desk</title>" in found.stdout
    assert "Content Security Policy" in found.stderr


def test_the_page_is_no_wider_than_a_phone(page: Path, tmp_path: Path) -> None:
    frame = tmp_path / "frame.html"
    script = (
        "onload = () => { const f = document.querySelector('iframe').contentDocument.documentElement;"
        "document.title = JSON.stringify([f.scrollWidth, f.clientWidth]); }"
    )
    address = page.as_uri()
    frame.write_text(f'<iframe src="{address}" width=390 height=800></iframe><script>{script}</script>', encoding="utf-8")
    found = opened(frame, tmp_path, "--allow-file-access-from-files", "--virtual-time-budget=5000", "--dump-dom")
    wide, seen = json.loads(re.search(r"<title>(.*?)</title>", found.stdout)[1])  # type: ignore[index]
    assert wide <= seen
