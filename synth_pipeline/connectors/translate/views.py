"""Views from one dialect to another: plain queries over tables, every name resolved; anything finer is refused.

Understood are SELECT of columns, expressions and simple aggregates, inner and outer joins, WHERE, GROUP BY and DISTINCT.
Subqueries, set operations, windows, HAVING and LIMIT are not: their corners differ. An ORDER BY is left out, which a view
does not promise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synth_pipeline.catalog.schema import Column
from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.connectors.translate.expressions import Known, NotSureError, Translator

if TYPE_CHECKING:
    from sqlglot import exp

_CLAUSES = {"expressions", "from_", "joins", "where", "group", "having", "distinct", "kind", "hint", "operation_modifiers", "order"}


@dataclasses.dataclass(frozen=True)
class Relation:
    """A table or view that a query may read: its name in the target, and its columns by the source's names."""

    name: tuple[str, ...]
    columns: tuple[Column, ...]


def view(sql: str, translator: Translator, relations: Mapping[str, Relation]) -> tuple[str, tuple[Column, ...]]:
    """The query of a CREATE VIEW in the target's words, and the columns that it gives.

    `relations` are known by what the source calls them, with and without their schema.

    Raises:
        NotSureError: it holds something whose meaning is not sure to be the same.
    """
    from sqlglot import exp

    tree = translator.parse(sql)
    properties = tree.args["properties"].expressions if tree.args.get("properties") else []
    special = [p for p in properties if not isinstance(p, exp.AlgorithmProperty | exp.DefinerProperty | exp.SqlSecurityProperty)]
    if not isinstance(tree, exp.Create) or tree.kind != "VIEW" or special:
        raise NotSureError("it is no plain view")
    names = [i.name for i in tree.this.expressions] if isinstance(tree.this, exp.Schema) else []
    query = tree.expression
    while isinstance(query, exp.Paren | exp.Subquery) and not query.args.get("alias"):
        query = query.this
    return _Query(query, translator, relations).converted(names)


def view_name(sql: str, translator: Translator) -> tuple[str | None, str]:
    """Schema and name of the view that a statement makes."""
    from sqlglot import exp

    named = translator.parse(sql).find(exp.Table)
    return (named.db or None, named.name) if named is not None else (None, "")


def _flat(node: Any) -> tuple[Any, list[Any]]:
    """The first table and the joins of `((a JOIN b) JOIN c)`, which means the same without parentheses."""
    from sqlglot import exp

    joins: list[Any] = []
    while True:
        joins = [*(node.args.get("joins") or ()), *joins]
        nested = isinstance(node, exp.Paren | exp.Subquery) and isinstance(node.this, exp.Table | exp.Paren | exp.Subquery)
        if not nested or node.args.get("alias"):
            return node, joins
        node = node.this


class _Query:
    def __init__(self, query: Any, translator: Translator, relations: Mapping[str, Relation]) -> None:
        from sqlglot import exp

        if not isinstance(query, exp.Select) or any(v for k, v in query.args.items() if k not in _CLAUSES):
            raise NotSureError("it is no plain query")
        self._query, self._translator = query, translator
        self._relations = {**{k.lower(): v for k, v in relations.items()}, **relations}
        self._scope: dict[str, Relation] = {}

    def converted(self, names: list[str]) -> tuple[str, tuple[Column, ...]]:
        from sqlglot import exp

        q = self._query
        if not q.args.get("from_"):
            raise NotSureError("it reads no table")
        first, nested = _flat(q.args["from_"].this)
        result = exp.Select(from_=exp.From(this=self._table(first)))
        joins = []
        for join in [*nested, *(q.args.get("joins") or ())]:
            if join.args.get("using") or join.args.get("method") or join.kind not in ("", "INNER", "OUTER", "CROSS"):
                raise NotSureError("a join by names")
            right = self._table(join.this)
            on = self._condition(join.args["on"]) if join.args.get("on") else None
            joins.append(exp.Join(this=right, side=join.side or None, kind=("CROSS" if on is None else join.kind or None), on=on))
        result.set("joins", joins or None)
        if q.args.get("where"):
            result.set("where", exp.Where(this=self._condition(q.args["where"].this)))
        if q.args.get("distinct"):
            if q.args["distinct"].args.get("on"):
                raise NotSureError("DISTINCT ON")
            result.set("distinct", exp.Distinct())
        outputs = [o for e in q.expressions for o in self._outputs(e)]
        if names and len(names) != len(outputs):
            raise NotSureError("its columns are named otherwise")
        outputs = [(n, *o[1:]) for n, o in zip(names, outputs, strict=True)] if names else outputs
        if "" in (n for n, *_ in outputs) or len({n.lower() for n, *_ in outputs}) != len(outputs):
            raise NotSureError("its columns have no names of their own")
        self._group(result, outputs)
        result.set("expressions", [exp.alias_(tree, name, quoted=True) for name, tree, *_ in outputs])
        columns = tuple(Column(name, column.type, case_sensitive=column.case_sensitive) for name, _, column, _ in outputs)
        return self._translator.spell(result), columns

    def _group(self, result: exp.Select, outputs: list[Any]) -> None:
        from sqlglot import exp

        q = self._query
        group = q.args.get("group")
        keys = []
        for key in group.expressions if group else ():
            if isinstance(key, exp.Literal):
                keys.append(outputs[int(key.this) - 1][1].copy())
            else:
                alias = next((tree for name, tree, *_ in outputs if isinstance(key, exp.Column) and not key.table and key.name == name), None)
                keys.append(alias.copy() if alias is not None and self._find(key.name, "") is None else self._translator.convert(key, self._find)[0])
        if group and any(v for k, v in group.args.items() if k != "expressions"):
            raise NotSureError("groups of several kinds")
        if group or any(aggregate for *_, aggregate in outputs):
            spelled = {k.sql() for k in keys}
            if any(not aggregate and tree.sql() not in spelled for _, tree, _, aggregate in outputs):
                raise NotSureError("a column of no group")
        if keys:
            result.set("group", exp.Group(expressions=keys))
        if q.args.get("having"):
            raise NotSureError("HAVING may mean something else there")

    def _table(self, node: Any) -> exp.Expression:
        from sqlglot import exp

        if not isinstance(node, exp.Table) or any(v for k, v in node.args.items() if k not in ("this", "db", "catalog", "alias", "joins")):
            raise NotSureError("a subquery")
        spelled = ".".join(p for p in (node.db, node.name) if p)
        found = self._relations.get(spelled) or self._relations.get(spelled.lower())
        if found is None:
            raise NotSureError(f"{spelled} is not in the target, or not as it is in the source")
        alias = node.alias or node.name
        if alias.lower() in (a.lower() for a in self._scope):
            raise NotSureError("two tables of one name")
        self._scope[alias] = found
        *schema, name = (exp.to_identifier(part, quoted=True) for part in found.name)
        return exp.Table(this=name, db=schema[0] if schema else None, alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))

    def _find(self, name: str, table: str) -> Known | None:
        found = []
        for alias, relation in self._scope.items():
            if table and table.lower() != alias.lower():
                continue
            exact = [c for c in relation.columns if c.name == name] or [c for c in relation.columns if c.name.lower() == name.lower()]
            found += [Known(c, (alias, c.name)) for c in exact]
        return found[0] if len(found) == 1 else None

    def _condition(self, node: Any) -> exp.Expression:
        tree, kind = self._translator.convert(node, self._find)
        if kind != "boolean":
            raise NotSureError("something that is no condition counts as one")
        return tree

    def _outputs(self, node: Any) -> list[tuple[str, exp.Expression, Column, bool]]:
        """Name, tree, kind of column, and whether it is an aggregate, of a projection."""
        from sqlglot import exp

        star = isinstance(node, exp.Star) or isinstance(node, exp.Column) and isinstance(node.this, exp.Star)
        if star:
            if any(v for k, v in (node.args if isinstance(node, exp.Star) else {}).items()):
                raise NotSureError("a star with exceptions")
            wanted = node.table.lower() if isinstance(node, exp.Column) else ""
            return [
                (c.name, self._translator.convert(exp.column(c.name, table=alias), self._find)[0], c, False)
                for alias, relation in self._scope.items() if wanted in ("", alias.lower()) for c in relation.columns
            ]  # fmt: skip
        name = node.alias_or_name if isinstance(node, exp.Alias | exp.Column) else ""
        inner = node.unalias() if isinstance(node, exp.Alias) else node
        if isinstance(inner, exp.Count) and isinstance(inner.this, exp.Star):
            return [(name, exp.Count(this=exp.Star()), Column(name, LogicalType("integer")), True)]
        if isinstance(inner, exp.Count | exp.Sum | exp.Min | exp.Max) and not inner.expressions:
            tree, kind = self._translator.convert(inner.this, self._find)
            if not isinstance(inner, exp.Count) and kind not in ("integer", "decimal", "float", "date", "datetime"):
                raise NotSureError(f"an aggregate of {kind}")
            return [(name, type(inner)(this=tree), Column(name, LogicalType("integer" if isinstance(inner, exp.Count) else kind)), True)]  # type: ignore[arg-type]
        tree, kind = self._translator.convert(inner, self._find)
        column = tree.meta.get("column")
        if column is None:
            if kind == "null":
                raise NotSureError("a column of nothing")
            column = Column(name, LogicalType("text" if kind == "folded text" else kind), case_sensitive=kind != "folded text")  # type: ignore[arg-type]
        return [(name, tree, column, False)]
