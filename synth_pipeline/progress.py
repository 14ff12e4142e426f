"""How long work tells where it stands: one small protocol, three implementations.

Stages get a `Progress` and never print. A terminal shows bars, a log or pipe gets plain lines, a library call stays
silent. What is shown is a matter of the caller; measuring speed does not belong here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Step(Protocol):
    """One piece of work under way."""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Reports `amount` more units done; `note` says what is being worked on now."""
        ...


class Progress(Protocol):
    """Where a stage reports its steps."""

    def step(self, title: str, total: float | None = None) -> AbstractContextManager[Step]:
        """Opens a step of `total` units (None: unknown) as a context manager that yields a `Step`."""
        ...

    def note(self, text: str) -> None:
        """Says one line that is worth keeping."""
        ...


class _SilentStep:
    def advance(self, amount: float = 1, note: str = "") -> None:
        pass


class Silent:
    """Says nothing: the default of library calls."""

    @contextmanager
    def step(self, title: str, total: float | None = None) -> Iterator[Step]:
        yield _SilentStep()

    def note(self, text: str) -> None:
        pass


class _LineStep:
    def __init__(self, title: str, total: float | None, emit: LogLines, every: float) -> None:
        self._title, self._total, self._emit, self._every = title, total, emit, every
        self._done = 0.0
        self._start = self._last = time.monotonic()

    def advance(self, amount: float = 1, note: str = "") -> None:
        self._done += amount
        now = time.monotonic()
        if now - self._last < self._every:
            return
        self._last = now
        share = f" {100 * self._done / self._total:3.0f} %" if self._total else f" {self._done:,.0f}"
        self._emit.note(f"{self._title}:{share} after {now - self._start:.0f} s{f' ({note})' if note else ''}")


class LogLines:
    """Plain lines through a logger, at most one per `every` seconds and step, and one when a step ends."""

    def __init__(self, logger: logging.Logger, every: float = 5.0) -> None:
        self._logger, self._every = logger, every

    @contextmanager
    def step(self, title: str, total: float | None = None) -> Iterator[Step]:
        start = time.monotonic()
        yield _LineStep(title, total, self, self._every)
        self.note(f"{title}: done in {time.monotonic() - start:.1f} s")

    def note(self, text: str) -> None:
        self._logger.info(text)


class _BarStep:
    def __init__(self, bars: RichProgress, task: TaskID) -> None:
        self._bars, self._task = bars, task

    def advance(self, amount: float = 1, note: str = "") -> None:
        self._bars.update(self._task, advance=amount, note=note)


class Bars:
    """Bars on a terminal with rate and remaining time (rich); steps may be nested, inner ones are drawn below."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._live: RichProgress | None = None

    @contextmanager
    def step(self, title: str, total: float | None = None) -> Iterator[Step]:
        if self._live is not None:
            task = self._live.add_task(title, total=total, note="")
            try:
                yield _BarStep(self._live, task)
            finally:
                self._live.remove_task(task)
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("[dim]{task.fields[note]}"),
        )  # fmt: skip
        with RichProgress(*columns, console=self._console, transient=True) as bars:
            self._live = bars
            try:
                yield _BarStep(bars, bars.add_task(title, total=total, note=""))
            finally:
                self._live = None

    def note(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)
