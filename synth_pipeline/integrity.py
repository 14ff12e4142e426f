"""Rules that a set of tables must obey, derived once from schema and metadata, and evaluated fast on a bundle.

Used by the blocking checks, the report and the export gate alike. Statistical likeness does not belong here; a rule
here is either kept by every row or broken by some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from synth_pipeline.catalog.branches import branches
from synth_pipeline.constraints import NotEvaluableError, predicate_mask
from synth_pipeline.keys import combined_codes, complete_rows, folded, reference_columns, rows_of_branch, stacked

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from synth_pipeline.artifacts import TableBundle
    from synth_pipeline.catalog.schema import Column, DatabaseSchema, Table
    from synth_pipeline.metadata.model import SynthesisMetadata

RuleKind = Literal["schema_conformance", "not_null", "unique_keys", "referential_integrity", "value_domains", "check_constraints"]

_UNENFORCED_SIZES = frozenset({"sqlite"})
"""Dialects in which a declared length or width is a comment: real rows may be longer, so it is no rule."""

_AT_ONCE = 250_000
"""Rows of a table that are read together; of a larger one single columns, or parts."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its kind, the table and columns that it concerns, and a readable text.

    `parent` and `parent_columns` are set for references; `detail` holds the branch of a polymorphic one, the expression of a
    CHECK, the predicate of a partial unique index, the length of a text, the bounds of an integer or the members of an ENUM.
    """

    kind: RuleKind
    table: str
    columns: tuple[str, ...]
    text: str
    parent: str | None = None
    parent_columns: tuple[str, ...] = ()
    detail: Any = None


@dataclass(frozen=True, slots=True)
class RuleResult:
    """How many rows were checked, and how many break the rule; `skipped` says why nothing could be checked."""

    rule: Rule
    checked: int
    violations: int
    skipped: str | None = None


@dataclass(frozen=True)
class IntegrityReport:
    """The results of all rules over one bundle."""

    results: tuple[RuleResult, ...]

    @property
    def passed(self) -> bool:
        return all(r.violations == 0 for r in self.results)

    def of(self, kind: RuleKind) -> list[RuleResult]:
        return [r for r in self.results if r.rule.kind == kind]


# --- deriving ----------------------------------------------------------------------------------------------------------


def derive_rules(schema: DatabaseSchema, metadata: SynthesisMetadata | None = None) -> tuple[Rule, ...]:
    """All rules of the schema: types, NOT NULL, keys, foreign and polymorphic keys, lengths and enums, CHECK constraints.

    Of the metadata only keys that the user stated are taken: what was merely inferred is no rule.
    """
    rules: list[Rule] = []
    for table in schema.tables:
        names = tuple(c.name for c in table.stored_columns)
        rules.append(Rule("schema_conformance", table.id, names, f"{table.id} has the columns and types of the schema"))
        rules += [Rule("not_null", table.id, (c.name,), f"{table.id}.{c.name} is never NULL") for c in table.stored_columns if not c.nullable]
        rules += _key_rules(table, metadata)
        for fk in table.foreign_keys:
            if fk.parent in schema:
                text = f"{table.id} {_listed(fk.columns)} refers to {fk.parent} {_listed(fk.parent_columns)}"
                rules.append(Rule("referential_integrity", table.id, fk.columns, text, fk.parent, fk.parent_columns))
        for b in branches(schema, table.id):
            text = f"{table.id} {_listed((b.type_column, *b.columns))} refers to {b.parent} {_listed(b.parent_columns)} where {b.condition}"
            rules.append(Rule("referential_integrity", table.id, b.columns, text, b.parent, b.parent_columns, detail=b))
        for column in table.stored_columns:
            rules += _domain_rules(table, column, sizes=schema.dialect not in _UNENFORCED_SIZES)
        rules += [Rule("check_constraints", table.id, (), f"{table.id}: CHECK ({_one_line(c.sql)})", detail=c.sql) for c in table.checks]
    return tuple(rules)


def _key_rules(table: Table, metadata: SynthesisMetadata | None) -> Iterator[Rule]:
    keys = list(table.keys)
    stated = metadata.tables.get(table.id) if metadata else None
    if stated and stated.primary_key_source == "user" and stated.primary_key and stated.primary_key not in keys:
        keys.append(stated.primary_key)
    for key in keys:
        yield Rule("unique_keys", table.id, key, f"{table.id} {_listed(key)} is unique")
    for index in table.indexes:
        if index.unique and index.where and index.columns:
            text = f"{table.id} {_listed(index.columns)} is unique where {_one_line(index.where)}"
            yield Rule("unique_keys", table.id, index.columns, text, detail=index.where)
        elif index.unique and not index.columns:
            yield Rule("unique_keys", table.id, (), f"{table.id}: unique index {index.name} over an expression")


def _domain_rules(table: Table, column: Column, *, sizes: bool) -> Iterator[Rule]:
    kind, name = column.type, f"{table.id}.{column.name}"
    if kind.values:
        yield Rule("value_domains", table.id, (column.name,), f"{name} is one of {len(kind.values)} members", detail={"values": kind.values})
    if not sizes:
        return
    if kind.kind in ("text", "binary") and kind.length:
        unit = "characters" if kind.kind == "text" else "bytes"
        yield Rule("value_domains", table.id, (column.name,), f"{name} has at most {kind.length} {unit}", detail={"length": kind.length})
    if kind.kind == "integer" and kind.bits and (kind.bits < 64 or kind.unsigned):
        low, high = (0, 2**kind.bits - 1) if kind.unsigned else (-(2 ** (kind.bits - 1)), 2 ** (kind.bits - 1) - 1)
        yield Rule("value_domains", table.id, (column.name,), f"{name} lies in {low} … {high}", detail={"range": (low, high)})


def _listed(columns: Sequence[str]) -> str:
    return f"({', '.join(columns)})"


def _one_line(sql: str, limit: int = 160) -> str:
    text = " ".join(sql.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


# --- evaluating --------------------------------------------------------------------------------------------------------


def evaluate(bundle: TableBundle, rules: tuple[Rule, ...], schema: DatabaseSchema) -> IntegrityReport:
    """Evaluates every rule; linear in rows, memory bounded by one column of a large table and its parents' keys."""
    by_table: dict[str, list[int]] = {}
    for number, rule in enumerate(rules):
        by_table.setdefault(rule.table, []).append(number)
    results: dict[int, RuleResult] = {}
    for table_id, numbers in by_table.items():
        if table_id not in bundle.tables:
            for n in numbers:
                missing = rules[n].kind == "schema_conformance"
                results[n] = RuleResult(rules[n], 1 if missing else 0, 1 if missing else 0, None if missing else "the table is missing")
            continue
        scope = _Scope(bundle, schema, schema.table(table_id))
        for n in numbers:
            results[n] = scope.evaluate(rules[n])
    return IntegrityReport(tuple(results[n] for n in range(len(rules))))


class _Skipped(Exception):
    """Why a rule cannot be evaluated."""


class _Scope:
    """One table of a bundle while its rules are evaluated."""

    def __init__(self, bundle: TableBundle, schema: DatabaseSchema, table: Table) -> None:
        self._bundle, self._schema, self._table = bundle, schema, table
        self._whole = bundle.read(table.id) if bundle.rows(table.id) <= _AT_ONCE else None
        self._stored = bundle.arrow_schema(table.id) if self._whole is None else self._whole.schema

    def evaluate(self, rule: Rule) -> RuleResult:
        checks: dict[RuleKind, Callable[[Rule], tuple[int, int]]] = {
            "schema_conformance": self._conformance, "not_null": self._not_null, "unique_keys": self._unique,
            "referential_integrity": self._references, "value_domains": self._domain, "check_constraints": self._check,
        }  # fmt: skip
        try:
            checked, violations = checks[rule.kind](rule)
        except (_Skipped, NotEvaluableError) as e:
            return RuleResult(rule, 0, 0, str(e))
        return RuleResult(rule, checked, violations)

    def _conformance(self, rule: Rule) -> tuple[int, int]:
        from synth_pipeline.artifacts import arrow_schema

        expected, found = arrow_schema(self._schema, self._table.id), self._stored
        wrong = sum(1 for f in expected if f.name not in found.names or found.field(f.name).type != f.type)
        wrong += sum(1 for name in found.names if name not in expected.names)
        return len(expected), wrong

    def _not_null(self, rule: Rule) -> tuple[int, int]:
        column = self._column(rule.columns[0])
        return len(column), column.null_count

    def _unique(self, rule: Rule) -> tuple[int, int]:
        import numpy as np

        if not rule.columns:
            raise _Skipped("a unique index over an expression is left to the target database")
        columns = [self._folded(c, self._column(c)) for c in rule.columns]
        kept = complete_rows(columns)
        if rule.detail is not None:
            kept &= self._predicate(rule.detail, null=False)
        codes = combined_codes(columns)[kept]
        return len(codes), len(codes) - len(np.unique(codes))

    def _references(self, rule: Rule) -> tuple[int, int]:
        import numpy as np
        import pyarrow as pa

        assert rule.parent is not None
        if rule.parent not in self._bundle.tables:
            raise _Skipped(f"the table {rule.parent} is missing")
        stored = {c.name for c in self._schema.table(rule.parent).stored_columns}
        if not stored.issuperset(rule.parent_columns):
            raise _Skipped("the parent's key is a generated column")
        keys = self._bundle.read(rule.parent, rule.parent_columns)
        mine = {name: self._column(name) for name in rule.columns}
        left, right = reference_columns(self._schema, rule.table, rule.columns, pa.table(mine), rule.parent, rule.parent_columns, keys)
        asked, there = complete_rows(left), complete_rows(right)
        if rule.detail is not None:
            asked &= rows_of_branch(self._schema, rule.detail, self._column(rule.detail.type_column))
        both = [stacked(a, b) for a, b in zip(left, right, strict=True)]
        codes = combined_codes(both)
        child, above = codes[: len(asked)][asked], codes[len(asked) :][there]
        return len(child), int((~np.isin(child, np.unique(above))).sum())

    def _domain(self, rule: Rule) -> tuple[int, int]:
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self._column(rule.columns[0])
        values = column.drop_null()
        if "length" in rule.detail:
            measure = pc.utf8_length if pa.types.is_string(values.type) else pc.binary_length
            wrong = pc.greater(measure(values), rule.detail["length"])
        elif "range" in rule.detail:
            low, high = (pa.scalar(b).cast(values.type) if not pa.types.is_decimal(values.type) else pa.scalar(b, pa.decimal128(20, 0))
                         for b in rule.detail["range"])  # fmt: skip
            wrong = pc.or_(pc.less(values, low), pc.greater(values, high))
        else:
            members = pa.chunked_array([pa.array(rule.detail["values"], pa.string())])
            wrong = pc.invert(pc.is_in(self._folded(rule.columns[0], values), value_set=self._folded(rule.columns[0], members).combine_chunks()))
        return len(values), int(pc.sum(wrong).as_py() or 0)

    def _check(self, rule: Rule) -> tuple[int, int]:
        mask = self._predicate(rule.detail, null=True)
        return len(mask), int((~mask).sum())

    def _predicate(self, sql: str, *, null: bool) -> np.ndarray[Any, Any]:
        """Which rows satisfy an expression, a part of a large table at a time; bool, shape (rows,)."""
        import numpy as np
        import pyarrow as pa

        batches = self._bundle.batches(self._table.id, _AT_ONCE) if self._whole is None else ()
        parts = [self._whole] if self._whole is not None else (pa.Table.from_batches([b]) for b in batches)
        return np.concatenate([predicate_mask(rows, sql, self._schema.dialect, self._table, null=null) for rows in parts])

    def _column(self, name: str) -> pa.ChunkedArray[Any]:
        if name not in self._stored.names:
            generated = name in self._table.column_names and self._table.column(name).generated is not None
            raise _Skipped("the server generates the column" if generated else f"the column {name} is missing")
        return (self._bundle.read(self._table.id, [name]) if self._whole is None else self._whole).column(name)

    def _folded(self, name: str, values: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
        return folded(self._schema, self._table.id, name, values)
