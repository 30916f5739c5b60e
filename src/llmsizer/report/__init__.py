"""Results as tables of text, Markdown, CSV and JSON."""
