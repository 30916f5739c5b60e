"""A progress bar for commands that may take long."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from llmsizer.cli.manner import is_quiet

PATIENCE_SECONDS = 1.0


class Progress:
    """A progress bar of ``what`` on a terminal, once the work takes longer than a moment."""

    def __init__(self, what: str = "points") -> None:
        self.what = what
        self.start = time.monotonic()
        self.bar: Any = None
        self.advance: Callable[[int, int], None] | None = None

    def __enter__(self) -> Progress:
        return self

    def __call__(self, done: int, whole: int) -> None:
        if self.advance is None and not is_quiet() and sys.stderr.isatty() and time.monotonic() - self.start > PATIENCE_SECONDS:
            self.advance = self._started(whole)
        if self.advance is not None:
            self.advance(done, whole)

    def _started(self, whole: int) -> Callable[[int, int], None]:
        from rich.console import Console
        from rich.progress import Progress as Bar

        bar: Any = Bar(console=Console(stderr=True), transient=True)
        bar.start()
        task = bar.add_task(self.what, total=whole)
        self.bar = bar
        return lambda done, whole: bar.update(task, total=whole, completed=done)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()
