"""Renews everything generated in the documents: ``python tests/docs/refresh.py``; then read the difference."""

from __future__ import annotations

from documents import DOCUMENTS, TOP, rewritten
from methodology import methodology_pages
from python_page import python_page
from reference import command_reference


def main() -> None:
    reference = TOP / "docs" / "commands.md"
    reference.write_text(command_reference(), encoding="utf-8")
    (TOP / "docs" / "python.md").write_text(python_page(), encoding="utf-8")
    pages = TOP / "docs" / "methodology"
    pages.mkdir(exist_ok=True)
    for name, text in methodology_pages().items():
        (pages / name).write_text(text, encoding="utf-8")
    for file in DOCUMENTS:
        before = file.read_text(encoding="utf-8")
        after = rewritten(before)
        if after != before:
            file.write_text(after, encoding="utf-8")
            print(f"renewed: {file.relative_to(TOP)}")


if __name__ == "__main__":
    main()
