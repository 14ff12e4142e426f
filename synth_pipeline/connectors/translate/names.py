"""What tables, indexes and constraints are called in the target: as in the source, where nothing else has the name.

Tables whose schema has no place get it as a prefix. Columns are never renamed: rows travel by their names.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from synth_pipeline.errors import ExportError

if TYPE_CHECKING:
    from synth_pipeline.catalog.schema import DatabaseSchema
    from synth_pipeline.connectors.translate.spelling import Spelling

Place = tuple[str | None, str]
"""Schema and name in the target."""


class Names:
    """The names of a schema in a target.

    Attributes:
        places: schema and name of every table, by the source's id.
        losses: tables that are called differently.

    Raises:
        ExportError: two names are one in the target, or a name is too long for it.
    """

    def __init__(self, source: DatabaseSchema, spelling: Spelling, default: str | None) -> None:
        self._source, self._spelling, self._default = source, spelling, default
        self.losses: list[str] = []
        self.places = self._tables()
        self._taken: dict[str, set[str]] = defaultdict(set)
        for schema, name in self.places.values():
            self._taken[self._scope((schema, name))].add(self._folded(name))

    def is_taken(self, place: Place) -> bool:
        """Whether a table or something else of its scope has the name."""
        schema, name = place
        tables = {(s, self._folded(n)) for s, n in self.places.values()}
        return (schema, self._folded(name)) in tables or self._folded(name) in self._taken[self._scope((schema, ""))]

    def _folded(self, name: str) -> str:
        return name.lower() if self._spelling.folds else name

    def _scope(self, place: Place) -> str:
        schema, table = place
        return {"database": "", "schema": schema or ""}.get(self._spelling.index_scope, f"{schema}.{table}")

    def _tables(self) -> dict[str, Place]:
        found: dict[str, Place] = {}
        seen: dict[Place, str] = {}
        for table in self._source.tables:
            own = table.schema if table.schema not in (None, self._default) else None
            if self._spelling.schemas:
                place = (own or self._spelling.default_schema, table.name)
            else:
                place = (None, f"{own}_{table.name}" if own else table.name)
                if own:
                    self.losses.append(f"The table {table.id} becomes {place[1]}: the target has no schemas.")
            self.fits(place[1], f"the table {table.id}")
            folded = (place[0], self._folded(place[1]))
            if folded in seen:
                raise ExportError(f"The tables {seen[folded]} and {table.id} have one name in the target.", "Exclude one of them, or rename it.")
            seen[folded], found[table.id] = table.id, place
            columns: dict[str, str] = {}
            for column in table.columns:
                self.fits(column.name, f"the column {table.id}.{column.name}")
                other = columns.setdefault(self._folded(column.name), column.name)
                if other != column.name:
                    problem = f"The columns {other} and {column.name} of {table.id} have one name in the target."
                    raise ExportError(problem, "Rename one of them, or exclude the table.")
        return found

    def fits(self, name: str, what: str) -> None:
        """Refuses a name that is too long."""
        if len(name.encode()) > self._spelling.name_bytes:
            problem = f"The name of {what} is too long for the target, which takes {self._spelling.name_bytes} bytes."
            raise ExportError(problem, "Exclude the table, or rename it.")

    def free(self, place: Place, name: str, table: str) -> str:
        """A name for an index or constraint that nothing else in its scope has."""
        taken = self._taken[self._scope(place)]
        chosen = next(c for c in self._candidates(name, f"{table}_{name}") if self._folded(c) not in taken)
        taken.add(self._folded(chosen))
        return chosen

    def _candidates(self, name: str, longer: str) -> Iterator[str]:
        """The name where it fits, the longer one as far as it does, and that with numbers."""
        most = self._spelling.name_bytes
        if len(name.encode()) <= most:
            yield name
        for number in itertools.count(1):
            end = f"_{number}" if number > 1 else ""
            yield longer.encode()[: most - len(end)].decode("utf-8", "ignore") + end

    def qualified(self, place: Place) -> str:
        """The name with its schema, quoted, as the target's own definitions spell it."""
        schema, name = place
        shown = schema if schema != self._spelling.default_schema or self._spelling.late else None
        return ".".join(self._spelling.dialect.quote(p) for p in (shown, name) if p)

    def identifier(self, place: Place) -> str:
        """The id that the target's connector gives to the table."""
        schema, name = place
        return name if schema == self._spelling.default_schema else f"{schema}.{name}"
