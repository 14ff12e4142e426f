"""How SQL dialects differ, as data: one `Dialect` per family, and no branch on a dialect's name anywhere else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """The traits of one SQL dialect.

    Attributes:
        name: as in `DatabaseSchema.dialect`.
        quotes: the two characters around an identifier; the closing one is doubled inside.
    """

    name: str
    quotes: tuple[str, str] = ('"', '"')

    def quote(self, name: str) -> str:
        """`name` as a quoted identifier."""
        left, right = self.quotes
        return f"{left}{name.replace(right, right * 2)}{right}"


SQLITE = Dialect("sqlite")
