"""Which broken rules stop a run, and what is said about those that do not."""

from __future__ import annotations

import pytest

from synth_pipeline.errors import CheckFailedError
from synth_pipeline.gate import require_intact
from synth_pipeline.integrity import IntegrityReport, Rule, RuleResult

LENGTH = Rule("value_domains", "client", ("name",), "client.name has at most 5 characters")
KEY = Rule("referential_integrity", "order", ("client_id",), "order (client_id) refers to client (id)", "client", ("id",))
CHECK = Rule("check_constraints", "order", (), "amount > 0")


def report(*broken: tuple[Rule, int]) -> IntegrityReport:
    return IntegrityReport(tuple(RuleResult(rule, 100, violations) for rule, violations in broken))


def test_whole_tables_pass() -> None:
    assert require_intact(report((LENGTH, 0), (KEY, 0)), "tables") == []


def test_a_broken_rule_is_named_with_its_table_and_how_often() -> None:
    with pytest.raises(CheckFailedError, match=r"order \(client_id\) refers to client \(id\) \(3 of 100 rows\)") as caught:
        require_intact(report((KEY, 3), (LENGTH, 0)), "synthetic tables")
    assert caught.value.exit_code == 1


def test_a_source_may_break_what_its_server_does_not_enforce_and_is_told() -> None:
    (line,) = require_intact(report((LENGTH, 7)), "subset's rows", structural_only=True)
    assert "at most 5 characters" in line
    with pytest.raises(CheckFailedError):
        require_intact(report((LENGTH, 7), (KEY, 1)), "subset's rows", structural_only=True)


def test_synthetic_rows_may_only_break_the_lengths_that_the_source_breaks() -> None:
    tolerated = [LENGTH.text, CHECK.text]
    assert require_intact(report((LENGTH, 9)), "synthetic tables", tolerated=tolerated)
    with pytest.raises(CheckFailedError):
        require_intact(report((LENGTH, 9)), "synthetic tables")
    with pytest.raises(CheckFailedError):  # a CHECK is enforced when the target is loaded
        require_intact(report((CHECK, 1)), "synthetic tables", tolerated=tolerated)
