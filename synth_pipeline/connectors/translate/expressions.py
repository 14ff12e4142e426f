"""SQL expressions from one dialect to another, where the meaning is sure to be the same; everything else is refused.

sqlglot reads and writes; in between every node has to be known here, and every operand of a kind for which the databases
agree: numbers compare as numbers, text for equality, dates with dates. A CHECK that means something else in the target
would refuse rows of a load, or hold what it should not.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synth_pipeline.connectors.dialects import dialect_of

if TYPE_CHECKING:
    from sqlglot import exp

    from synth_pipeline.catalog.schema import Column
    from synth_pipeline.connectors.translate.spelling import Spelling

SQLGLOT = {"postgresql": "postgres", "mssql": "tsql", "mariadb": "mysql"}
"""What sqlglot calls the families that it calls differently."""
_NUMBERS = ("integer", "decimal", "float")
_TEXTS = ("text", "enum", "uuid")
_MOMENTS = ("date", "time", "datetime", "timestamp")
_ISO = {
    "date": r"\d{4}-\d\d-\d\d", "time": r"\d\d:\d\d:\d\d(\.\d{1,6})?",
    "datetime": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?",
}  # fmt: skip
_ISO_FORMS = ("%Y-%m-%d", "%H:%M:%S")
_PARTS = {"this", "expression", "expressions", "low", "high", "table", "safe", "is_string", "ifs", "default"}
"""The parts of a node that are looked at; another one says that it means more than its name."""
_CASTS = {"TEXT": _TEXTS, "VARCHAR": _TEXTS, "CHAR": _TEXTS, "BPCHAR": _TEXTS, "NCHAR": _TEXTS, "NVARCHAR": _TEXTS, "USERDEFINED": ("enum", "text"),
          "ENUM": ("enum", "text"), "UUID": ("uuid", "text"), "DATE": ("date",), "TIMESTAMP": ("datetime",), "DATETIME": ("datetime",),
          "TIMESTAMPTZ": ("timestamp",), "TIME": ("time",)}  # fmt: skip
_NUMERIC_CASTS = {"INT": "integer", "BIGINT": "integer", "SMALLINT": "integer", "TINYINT": "integer", "DECIMAL": "decimal", "DOUBLE": "float",
                  "FLOAT": "float"}  # fmt: skip


class NotSureError(Exception):
    """An expression whose meaning in the target is not sure to be the same; the text says why, as the end of a sentence."""


@dataclass(frozen=True)
class Known:
    """A column that an expression may name: what it is, and what it is called in the target."""

    column: Column
    reference: tuple[str, ...]


Resolver = Callable[[str, str], Known | None]
"""Finds the column of a name, of the table of a name (empty: of any)."""


def resolver(columns: Iterable[Column], tables: Iterable[str]) -> Resolver:
    """Resolves names within one table, which may be called by any of `tables`."""
    known = {c.name: Known(c, (c.name,)) for c in columns}
    folded = {n.lower(): k for n, k in known.items()}
    own = {t.lower() for t in tables}

    def find(name: str, table: str) -> Known | None:
        if table and table.lower() not in own:
            return None
        return known.get(name) or folded.get(name.lower())

    return find


class Translator:
    """From the dialect of a source to a target's."""

    def __init__(self, source: str, spelling: Spelling) -> None:
        self._source, self._spelling = SQLGLOT.get(source, source), spelling
        self._ordered = dialect_of(source).binary_order and spelling.dialect.binary_order

    def parse(self, sql: str) -> Any:
        """The tree of an expression or statement.

        Raises:
            NotSureError: sqlglot does not understand it.
        """
        import sqlglot

        try:
            with _quiet():
                tree: Any = sqlglot.parse_one(sql, read=self._source, error_level=sqlglot.ErrorLevel.RAISE)
            return tree
        except sqlglot.errors.SqlglotError:
            raise NotSureError("it is not understood") from None

    def spell(self, tree: exp.Expression) -> str:
        """The tree in the target's words, every name quoted."""
        with _quiet():
            text: str = tree.sql(dialect=self._spelling.sqlglot, identify=True, comments=False)
        return text

    def condition(self, sql: str, find: Resolver) -> str:
        """A CHECK or the WHERE of an index.

        Raises:
            NotSureError: its meaning is not sure to be the same.
        """
        tree, kind = self.convert(self.parse(sql), find)
        if kind != "boolean":
            raise NotSureError("it is no condition elsewhere")
        return self.spell(tree)

    def value(self, sql: str, wanted: Column, find: Resolver) -> str:
        """The expression of a generated column, or a default (with a resolver that finds nothing).

        Raises:
            NotSureError: its meaning is not sure to be the same.
        """
        from sqlglot import exp

        tree = self.parse(sql)
        while isinstance(tree, exp.Paren):
            tree = tree.this
        kind = wanted.type.kind
        if isinstance(tree, exp.CurrentTimestamp) and kind in ("datetime", "timestamp"):
            digits = 6 if wanted.type.precision is None else wanted.type.precision
            return self._spelling.now.format(digits)
        if isinstance(tree, exp.CurrentDate) and kind == "date":
            return self._spelling.today
        converted, found = self.convert(tree, find)
        if found == "null":
            return "NULL"
        if isinstance(converted, exp.Literal | exp.Boolean | exp.Neg):
            converted = self._literal(converted, wanted)
        elif not (found == kind or {found, kind} <= set(_NUMBERS) or {found, kind} <= {"text", "enum"}):
            raise NotSureError(f"it gives {found} for {kind}")
        return self.spell(converted)

    # --- nodes -------------------------------------------------------------------------------------------------------------

    def convert(self, node: Any, find: Resolver) -> tuple[exp.Expression, str]:
        """The node for the target, and the kind of its values.

        Raises:
            NotSureError: it holds something that is not known here.
        """
        from sqlglot import exp

        if node.args.get("negate"):
            plain = node.copy()
            plain.set("negate", None)
            return exp.Not(this=exp.paren(self.convert(plain, find)[0], copy=False)), "boolean"
        extra = {k for k, v in node.args.items() if v} - _PARTS
        self._require(not extra or isinstance(node, exp.Cast | exp.Literal), f"{node.key.upper()} with {', '.join(sorted(extra))}")
        match node:
            case exp.Paren():
                inner, kind = self.convert(node.this, find)
                return exp.paren(inner, copy=False), kind
            case exp.Literal():
                return node.copy(), "text" if node.is_string else "integer" if node.this.isdigit() else "decimal"
            case exp.Boolean():
                return node.copy(), "boolean"
            case exp.Null():
                return node.copy(), "null"
            case exp.Column():
                return self._column(node, find)
            case exp.Neg():
                inner, kind = self.convert(node.this, find)
                self._require(kind in _NUMBERS, "a sign before no number")
                return exp.Neg(this=inner), kind
            case exp.And() | exp.Or():
                left, right = (self._truth(part, find) for part in (node.this, node.expression))
                return type(node)(this=left, expression=right), "boolean"
            case exp.Not():
                return exp.Not(this=self._truth(node.this, find)), "boolean"
            case exp.EQ() if isinstance(node.expression, exp.Any):
                return self._among(node.this, self._array(node.expression.this), find)
            case exp.EQ() | exp.NEQ() | exp.GT() | exp.GTE() | exp.LT() | exp.LTE():
                left, right = self._pair(node.this, node.expression, find, order=not isinstance(node, exp.EQ | exp.NEQ))
                return type(node)(this=left, expression=right), "boolean"
            case exp.In() if node.expressions and not node.args.get("query"):
                return self._among(node.this, node.expressions, find)
            case exp.Between():
                low_side, low = self._pair(node.this, node.args["low"], find, order=True)
                _, high = self._pair(node.this, node.args["high"], find, order=True)
                return exp.Between(this=low_side, low=low, high=high), "boolean"
            case exp.Is() if isinstance(node.expression, exp.Null):
                return exp.Is(this=self.convert(node.this, find)[0], expression=exp.Null()), "boolean"
            case exp.Add() | exp.Sub() | exp.Mul() | exp.Mod():
                return self._arithmetic(node, find)
            case exp.DPipe():
                sides = [self.convert(part, find) for part in (node.this, node.expression)]
                self._require(all(kind == "text" for _, kind in sides), "it joins what is no text")
                return exp.DPipe(this=sides[0][0], expression=sides[1][0], safe=True), "text"
            case exp.Length() if not node.args.get("binary") and not node.args.get("encoding"):
                inner, kind = self.convert(node.this, find)
                self._require(kind == "text", "it measures what is no text")
                return exp.Length(this=inner), "integer"
            case exp.Abs():
                inner, kind = self.convert(node.this, find)
                self._require(kind in _NUMBERS, "abs() of no number")
                return exp.Abs(this=inner), kind
            case exp.Coalesce():
                parts = [self.convert(part, find) for part in (node.this, *node.expressions)]
                self._require(len({kind for _, kind in parts} - {"null"}) == 1, "coalesce() of different types")
                return exp.Coalesce(this=parts[0][0], expressions=[p for p, _ in parts[1:]]), next(k for _, k in parts if k != "null")
            case exp.Like():
                return self._like(node, find)
            case exp.Case() if node.this is None:
                return self._case(node, find)
            case exp.Cast():
                return self._cast(node, find)
        raise NotSureError(f"{node.key.upper().replace('_', ' ')} may mean something else there")

    @staticmethod
    def _require(holds: bool, otherwise: str) -> None:
        if not holds:
            raise NotSureError(otherwise)

    def _column(self, node: Any, find: Resolver) -> tuple[exp.Expression, str]:
        from sqlglot import exp

        known = find(node.name, node.table)
        if known is None:
            raise NotSureError(f"{node.name} is no column that the target has")
        column = known.column
        kind, storage = column.type.kind, column.storage
        self._require(kind not in _MOMENTS or storage is None or storage.startswith(_ISO_FORMS), "dates are kept in another form")
        self._require(storage is None or kind in _MOMENTS or storage in ("money", "bpchar"), f"{column.name} is kept in another form")
        *tables, name = (exp.to_identifier(part, quoted=True) for part in known.reference)
        reference = exp.Column(this=name, table=tables[0] if tables else None)
        reference.meta["column"] = column
        return reference, kind if column.case_sensitive or kind != "text" else "folded text"

    def _truth(self, node: Any, find: Resolver) -> exp.Expression:
        tree, kind = self.convert(node, find)
        self._require(kind == "boolean", "something that is no condition counts as one")
        return tree

    def _pair(self, left: Any, right: Any, find: Resolver, *, order: bool) -> tuple[exp.Expression, exp.Expression]:
        """Both sides of a comparison, a literal in the form of the other side."""
        from sqlglot import exp

        (a, one), (b, other) = self.convert(left, find), self.convert(right, find)
        for tree, kind, literal in ((a, one, b), (b, other, a)):
            column = _plain(tree).meta.get("column") if isinstance(_plain(tree), exp.Column) else None
            if column is not None and isinstance(literal, exp.Literal | exp.Boolean | exp.Neg):
                self._require(kind != "folded text", "it compares text whatever its case")
                self._require(not order or kind in (*_NUMBERS, *_MOMENTS) or self._ordered, "the order of text differs")
                fitting = self._literal(literal, column)
                return (a, fitting) if literal is b else (fitting, b)
        kinds = {one, other}
        self._require(kinds <= set(_NUMBERS) or len(kinds) == 1 and one in (*_MOMENTS, *_TEXTS, "boolean"), "it compares different types")
        self._require(not order or one in (*_NUMBERS, *_MOMENTS) or self._ordered, "the order of text differs")
        return a, b

    def _among(self, value: Any, items: Iterable[Any], find: Resolver) -> tuple[exp.Expression, str]:
        from sqlglot import exp

        found = []
        for item in items:
            side, literal = self._pair(value, item, find, order=False)
            self._require(isinstance(literal, exp.Literal | exp.Var | exp.Neg), "a list of expressions")
            found.append(literal)
        return exp.In(this=side, expressions=found), "boolean"

    def _array(self, node: Any) -> list[Any]:
        from sqlglot import exp

        while isinstance(node, exp.Paren | exp.Cast):
            node = node.this
        self._require(isinstance(node, exp.Array), "ANY of no list")
        return list(node.expressions)

    def _arithmetic(self, node: Any, find: Resolver) -> tuple[exp.Expression, str]:
        from sqlglot import exp

        (a, one), (b, other) = (self.convert(part, find) for part in (node.this, node.expression))
        self._require({one, other} <= set(_NUMBERS), "it reckons with what is no number")
        self._require(not isinstance(node, exp.Mod) or one == other == "integer", "the remainder of no whole number")
        kind = max(one, other, key=_NUMBERS.index)
        return type(node)(this=a, expression=b), kind

    def _case(self, node: Any, find: Resolver) -> tuple[exp.Expression, str]:
        from sqlglot import exp

        ifs = [(self._truth(i.this, find), *self.convert(i.args["true"], find)) for i in node.args["ifs"]]
        other = self.convert(node.args["default"], find) if node.args.get("default") else None
        kinds = {kind for *_, kind in ifs} | ({other[1]} if other else set()) - {"null"}
        self._require(len(kinds) == 1, "CASE gives values of different types")
        return exp.Case(ifs=[exp.If(this=c, true=v) for c, v, _ in ifs], default=other[0] if other else None), kinds.pop()

    def _like(self, node: Any, find: Resolver) -> tuple[exp.Expression, str]:
        """Patterns without letters only: databases differ in whether these have a case, and in what a backslash does."""
        from sqlglot import exp

        (tree, kind), pattern = self.convert(node.this, find), node.expression
        self._require(kind in ("text", "folded text") and isinstance(pattern, exp.Literal), "a pattern that is computed")
        self._require(not any(c.isalpha() or c == "\\" for c in pattern.this), "LIKE may tell upper from lower case there")
        return exp.Like(this=tree, expression=pattern.copy()), "boolean"

    def _cast(self, node: Any, find: Resolver) -> tuple[exp.Expression, str]:
        """Casts that change nothing are left out."""
        from sqlglot import exp

        tree, kind = self.convert(node.this, find)
        name = node.to.this.name if hasattr(node.to.this, "name") else str(node.to.this)
        inner = _plain(tree)
        if name in _NUMERIC_CASTS and kind in _NUMBERS:
            wider = _NUMBERS.index(_NUMERIC_CASTS[name]) >= _NUMBERS.index(kind)
            self._require(wider and not (isinstance(inner, exp.Column) and node.to.expressions), "a cast that may round")
            return tree, _NUMERIC_CASTS[name]
        if isinstance(inner, exp.Literal) and kind == "text" and name in _CASTS:
            return tree, "text"
        self._require(name in _CASTS and kind in _CASTS[name], f"a cast of {kind} to {name.lower()}")
        return tree, kind

    def _literal(self, literal: Any, column: Column) -> exp.Expression:
        """A literal as the target spells it for a column."""
        from sqlglot import exp

        kind = column.type.kind
        text = self.spell(literal) if isinstance(literal, exp.Neg) else str(literal.this)
        if kind == "boolean":
            yes = {"1": True, "true": True, "t": True, "0": False, "false": False, "f": False}.get(text.lower())
            self._require(yes is not None, "it compares a truth value with something else")
            return exp.Var(this=self._spelling.boolean_literals[0 if yes else 1])
        if isinstance(literal, exp.Boolean):
            raise NotSureError(f"a truth value for {kind}")
        if kind in _NUMBERS:
            self._require(re.fullmatch(r"-?\d+(\.\d+)?", text) is not None, f"{kind} against text")
            return literal if not getattr(literal, "is_string", False) else exp.Literal(this=text, is_string=False)
        self._require(getattr(literal, "is_string", False), f"{kind} against a number")
        if kind in _ISO:
            short = re.fullmatch(_ISO["date"], text) is not None and kind == "datetime"
            self._require(short or re.fullmatch(_ISO[kind], text) is not None, "a date in a form of its own")
            return exp.Literal.string(f"{text} 00:00:00" if short else text)
        if kind == "enum":
            self._require(text in column.type.values, "a value that is none of the enum's")
        elif kind not in ("text", "uuid", "json"):
            raise NotSureError(f"a literal of {kind}")
        return exp.Literal.string(text)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the warnings of what sqlglot passes on as it is, which is refused here."""
    logger = logging.getLogger("sqlglot")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _plain(tree: Any) -> Any:
    from sqlglot import exp

    while isinstance(tree, exp.Paren):
        tree = tree.this
    return tree
