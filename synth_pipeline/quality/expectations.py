"""The integrity rules as Great Expectations suites, for people and tools that work with these; the blocking checks do not need them.

References and CHECKs become a flag column first: membership in a set of parent keys is what Great Expectations does slowest. Results
hold counts only, never a value. What the rules are, and their fast evaluation, is `integrity`'s.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from synth_pipeline.constraints import NotEvaluableError, predicate_mask
from synth_pipeline.keys import complete_rows, parent_rows, reference_columns, rows_of_branch

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
    return gx.ExpectationSuite(name=_suite_name(table), expectations=expectations)


def _suite_name(table: str) -> str:
    """The table's name where it can be the name of a file."""
    plain = re.sub(r"[^\w.-]+", "_", table)
    return table if plain == table else f"{plain}-{zlib.crc32(table.encode()):08x}"


def validate(bundle: TableBundle, rules: Sequence[Rule], schema: DatabaseSchema, docs: Path | None = None) -> list[ExpectationResult]:
    """Runs the suites of all tables of the bundle in an ephemeral context; results in the order of the rules.

    CHECKs that cannot be evaluated here are left out. With `docs`, Great Expectations writes its pages about suites and
    results into that folder, `index.html` first.
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
        batches = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("all")
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=suite.name, data=batches, suite=context.suites.add(suite)))
        for result in definition.run(batch_parameters={"dataframe": frame}, result_format=_FORMAT).results:
            config = result.expectation_config
            number = int(config.meta["rule"])  # results do not come in the order of the suite
            count = result.result.get("unexpected_count")
            found[number] = ExpectationResult(rules[number], config.type, bool(result.success), None if count is None else int(count))
    if docs is not None:
        store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs.absolute())}
        context.add_data_docs_site("pages", {"class_name": "SiteBuilder", "store_backend": store})
        context.build_data_docs(site_names=["pages"])
        (docs / "index.html").write_text(_index(docs, list(found.values())), encoding="utf-8")
    return [found[n] for n in sorted(found)]


def _index(docs: Path, found: Sequence[ExpectationResult]) -> str:
    """The first page; Great Expectations' own is empty in a browser without a network."""
    pages = {p.parts[-4]: p.relative_to(docs).as_posix() for p in sorted(docs.glob("validations/*/*/*/*.html"))}
    lines = []
    for table in dict.fromkeys(r.rule.table for r in found):
        results = [r.success for r in found if r.rule.table == table]
        link = f"<a href='{quote(pages[_suite_name(table)])}'>{escape(table)}</a>" if _suite_name(table) in pages else escape(table)
        lines.append(f"<tr><td>{link}<td>{len(results)}<td{'' if all(results) else ' class=broken'}>{sum(results)}")
    return (
        "<!doctype html><meta charset=utf-8><title>Expectations</title><style>"
        "body{font:16px/1.6 system-ui,sans-serif;margin:3rem auto;max-width:44rem}"
        "td,th{padding:.2rem 1.5rem .2rem 0;text-align:left}.broken{color:#b45309;font-weight:600}</style>"
        f"<h1>Expectations</h1><table><tr><th>suite<th>expectations<th>met{''.join(lines)}</table>"
    )


def _great_expectations() -> Any:
    """The package, with its usage statistics off: nothing about a run leaves the machine."""
    import os

    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations
    import great_expectations.expectations

    return great_expectations


def _flag(rule: Rule, number: int) -> str:
    return f"rule {number} broken: {rule.text}"


def _flag_missing(expectation: Any, frame: Any) -> bool:
    column = getattr(expectation, "column", None)
    return column is not None and column not in frame.columns


def _expectation(rule: Rule, number: int) -> Any:
    gxe = _great_expectations().expectations
    about: dict[str, Any] = {"meta": {"rule": number, "text": rule.text}, "notes": rule.text}
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
            return gxe.ExpectColumnValuesToBeInSet(column=_flag(rule, number), value_set=[False], **about)
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
            broken = complete_rows(child) & (parent_rows(child, parent) < 0)
            if rule.detail is not None:
                broken &= rows_of_branch(schema, rule.detail, rows.column(rule.detail.type_column))
            frame[_flag(rule, number)] = broken
        elif rule.kind == "check_constraints":
            try:
                frame[_flag(rule, number)] = ~predicate_mask(rows, rule.detail, schema.dialect, schema.table(table), null=True)
            except NotEvaluableError:
                continue
    return frame
