"""The integrity rules as Great Expectations suites, for people and tools that work with these; the blocking checks do not need them.

References and CHECKs become a flag column first: membership in a set of parent keys is what Great Expectations does slowest. Results
hold counts only, never a value. What the rules are, and their fast evaluation, is `integrity`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synth_pipeline.constraints import NotEvaluableError, predicate_mask
from synth_pipeline.keys import complete_rows, parent_rows, reference_columns

if TYPE_CHECKING:
    from synth_pipeline.artifacts import TableBundle
    from synth_pipeline.catalog.schema import DatabaseSchema
    from synth_pipeline.integrity import Rule

_FORMAT = {"result_format": "BASIC", "partial_unexpected_count": 0}


@dataclass(frozen=True)
class ExpectationResult:
    """What Great Expectations says of one rule: `unexpected` counts rows (None where it is about the whole table)."""

    rule: Rule
    expectation: str
    success: bool
    unexpected: int | None


def suite_of(rules: Sequence[Rule], table: str) -> Any:
    """The `ExpectationSuite` of one table; every expectation names its rule in `meta`.

    Rules without a counterpart (a partial unique index, a unique expression) are left out.
    """
    gx = _great_expectations()
    expectations = [e for number, rule in enumerate(rules) if rule.table == table and (e := _expectation(rule, number)) is not None]
    return gx.ExpectationSuite(name=table, expectations=expectations)


def validate(bundle: TableBundle, rules: Sequence[Rule], schema: DatabaseSchema) -> list[ExpectationResult]:
    """Runs the suites of all tables of the bundle in an ephemeral context; results in the order of the rules.

    CHECKs that cannot be evaluated here are left out.
    """
    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("bundle")
    found: dict[int, ExpectationResult] = {}
    for table in dict.fromkeys(r.table for r in rules):
        if table not in bundle.tables:
            continue
        frame = _flagged(bundle, rules, schema, table)
        suite = suite_of(rules, table)
        suite.expectations = [e for e in suite.expectations if not _flag_missing(e, frame)]
        batch = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
        for result in batch.validate(suite, result_format=_FORMAT).results:
            config = result.expectation_config
            number = int(config.meta["rule"])  # results do not come in the order of the suite
            count = result.result.get("unexpected_count")
            found[number] = ExpectationResult(rules[number], config.type, bool(result.success), None if count is None else int(count))
    return [found[n] for n in sorted(found)]


def _great_expectations() -> Any:
    """The package, with its usage statistics off: nothing about a run leaves the machine."""
    import os

    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations
    import great_expectations.expectations

    return great_expectations


def _flag(number: int) -> str:
    return f"rule {number} broken"


def _flag_missing(expectation: Any, frame: Any) -> bool:
    column = getattr(expectation, "column", None)
    return column is not None and column not in frame.columns


def _expectation(rule: Rule, number: int) -> Any:
    gxe = _great_expectations().expectations
    about: dict[str, Any] = {"meta": {"rule": number, "text": rule.text}}
    match rule.kind:
        case "schema_conformance":
            return gxe.ExpectTableColumnsToMatchSet(column_set=list(rule.columns), exact_match=False, **about)
        case "not_null":
            return gxe.ExpectColumnValuesToNotBeNull(column=rule.columns[0], **about)
        case "unique_keys" if rule.detail is None and len(rule.columns) == 1:
            return gxe.ExpectColumnValuesToBeUnique(column=rule.columns[0], **about)
        case "unique_keys" if rule.detail is None and rule.columns:
            return gxe.ExpectCompoundColumnsToBeUnique(column_list=list(rule.columns), ignore_row_if="any_value_is_missing", **about)
        case "value_domains" if "length" in rule.detail:
            return gxe.ExpectColumnValueLengthsToBeBetween(column=rule.columns[0], max_value=rule.detail["length"], **about)
        case "value_domains" if "range" in rule.detail:
            low, high = rule.detail["range"]
            return gxe.ExpectColumnValuesToBeBetween(column=rule.columns[0], min_value=low, max_value=high, **about)
        case "value_domains":
            return gxe.ExpectColumnValuesToBeInSet(column=rule.columns[0], value_set=list(rule.detail["values"]), **about)
        case "referential_integrity" | "check_constraints":
            return gxe.ExpectColumnValuesToBeInSet(column=_flag(number), value_set=[False], **about)
        case _:
            return None


def _flagged(bundle: TableBundle, rules: Sequence[Rule], schema: DatabaseSchema, table: str) -> Any:
    """The table as a data frame with one flag per reference and CHECK: True where a row breaks it."""
    rows = bundle.read(table)
    frame = rows.to_pandas(integer_object_nulls=True)
    for number, rule in enumerate(rules):
        if rule.table != table or not set(rule.columns) <= set(rows.column_names):
            continue
        if rule.kind == "referential_integrity" and rule.parent in bundle.tables:
            keys = bundle.read(rule.parent, rule.parent_columns)
            child, parent = reference_columns(schema, table, rule.columns, rows, rule.parent, rule.parent_columns, keys)
            frame[_flag(number)] = complete_rows(child) & (parent_rows(child, parent) < 0)
        elif rule.kind == "check_constraints":
            try:
                frame[_flag(number)] = ~predicate_mask(rows, rule.detail, schema.dialect, schema.table(table), null=True)
            except NotEvaluableError:
                continue
    return frame
