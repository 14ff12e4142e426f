"""Sweeps end in time and tell apart who answered, who failed, who hangs and who was not asked."""

from __future__ import annotations

import threading
import time

from synth_pipeline.orchestration.sweep import Sweeper
from synth_pipeline_tests.waiting import until


def test_all_answer() -> None:
    swept = Sweeper(str.upper).sweep(["a", "b", "c"], 5)
    assert swept.answers == {"a": "A", "b": "B", "c": "C"}
    assert not swept.errors and not swept.silent and not swept.left


def test_an_error_belongs_to_its_own_source() -> None:
    def ask(name: str) -> str:
        if name == "bad":
            raise ValueError(name)
        return name

    swept = Sweeper(ask).sweep(["good", "bad"], 5)
    assert swept.answers == {"good": "good"}
    assert isinstance(swept.errors["bad"], ValueError)


def test_fifty_sources_one_hangs_within_the_budget() -> None:
    """The one that hangs costs its own answer and is not asked again while it hangs."""
    release, asked = threading.Event(), []

    def ask(name: str) -> str:
        asked.append(name)
        if name == "s07":
            release.wait(30)
        return name

    names = [f"s{i:02d}" for i in range(50)]
    sweeper = Sweeper(ask)
    started = time.monotonic()
    first = sweeper.sweep(names, 2)
    assert time.monotonic() - started < 20
    assert first.silent == ("s07",) and len(first.answers) == 49 and not first.left
    second = sweeper.sweep(names, 2)
    assert second.silent == ("s07",) and len(second.answers) == 49 and asked.count("s07") == 1
    release.set()
    until(lambda: len(sweeper.sweep(names, 5).answers) == 50, 20, "the end of the one that hung")


def test_what_the_budget_does_not_reach_is_left() -> None:
    release = threading.Event()
    swept = Sweeper(lambda name: (name != "b" or release.wait(30), name)[1], threads=1).sweep(["a", "b", "c", "d"], 2)
    release.set()
    assert swept.answers == {"a": "a"} and swept.silent == ("b",) and swept.left == ("c", "d")
