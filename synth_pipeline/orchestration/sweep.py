"""Asking many databases something at once, within a fixed time, though any of them may hang.

A thread cannot be stopped, so one that hangs is left to itself and its source is not asked again while it does. What is
asked, and what the answers mean, belongs to the caller.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Sweep(Generic[Answer]):
    """The answers of one sweep, by name; `errors` of those that failed; `silent` did not answer in time; `left` were not asked."""

    answers: dict[str, Answer]
    errors: dict[str, Exception]
    silent: tuple[str, ...]
    left: tuple[str, ...]


class Sweeper(Generic[Answer]):
    """Runs sweeps and remembers, between them, which threads still hang."""

    def __init__(self, ask: Callable[[str], Answer], *, threads: int = 8) -> None:
        self._ask, self._threads = ask, threads
        self._hanging: dict[str, threading.Thread] = {}

    def sweep(self, names: Sequence[str], budget: float) -> Sweep[Answer]:
        """Asks the names in their order until all have answered or `budget` seconds are over."""
        deadline = time.monotonic() + budget
        hanging = {n: t for n, t in self._hanging.items() if t.is_alive()}
        todo: queue.SimpleQueue[str] = queue.SimpleQueue()
        done: queue.SimpleQueue[tuple[str, Answer | None, Exception | None]] = queue.SimpleQueue()
        taken: dict[str, threading.Thread] = {}
        asked = [n for n in names if n not in hanging]
        for name in asked:
            todo.put(name)

        def work() -> None:
            while time.monotonic() < deadline:
                try:
                    name = todo.get_nowait()
                except queue.Empty:
                    return
                taken[name] = threading.current_thread()
                try:
                    done.put((name, self._ask(name), None))
                except Exception as e:  # an answer too: it belongs to this source, not to the sweep
                    done.put((name, None, e))

        for number in range(min(self._threads, len(asked))):
            threading.Thread(target=work, daemon=True, name=f"sweep-{number}").start()
        answers: dict[str, Answer] = {}
        errors: dict[str, Exception] = {}
        while len(answers) + len(errors) < len(asked):
            try:
                name, answer, error = done.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if error is None:
                answers[name] = answer  # type: ignore[assignment]
            else:
                errors[name] = error
        answered = answers.keys() | errors.keys()
        silent = [n for n in asked if n in taken and n not in answered]
        self._hanging = hanging | {n: taken[n] for n in silent}
        return Sweep(answers, errors, (*(n for n in names if n in hanging), *silent), tuple(n for n in asked if n not in taken))
