"""Planning reports: the same content as Markdown, as one self-contained HTML file, as JSON and as CSV."""
