"""What a database *measures*: exact counts taken by aggregates in the source, over all rows and not over a subset.

Made by the subset stage, used by synthesis (sizes and tails) and quality. No values of any column are held, only counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Fanout:
    """Children per parent over one foreign key, in the whole database.

    Attributes:
        degrees: numbers of children that occur, ascending; 0 counts parents without any.
        parents: how many parents have each of `degrees`.
        null_children: child rows whose key is NULL.
        dangling: child rows whose key matches no parent.
    """

    degrees: tuple[int, ...]
    parents: tuple[int, ...]
    null_children: int = 0
    dangling: int = 0

    @property
    def children(self) -> int:
        return sum(d * p for d, p in zip(self.degrees, self.parents, strict=True))


@dataclass(frozen=True)
class PopulationStats:
    """Row counts per table, fan-out per foreign key (by its id), NULL shares per `table.column`.

    `exact` is False where the aggregates were switched off and catalogue estimates stand in.
    """

    rows: Mapping[str, int]
    fanouts: Mapping[str, Fanout] = field(default_factory=dict)
    null_shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    exact: bool = True

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> PopulationStats:
        fanouts = {k: Fanout(tuple(f["degrees"]), tuple(f["parents"]), f["null_children"], f["dangling"]) for k, f in payload["fanouts"].items()}
        return cls(payload["rows"], fanouts, payload["null_shares"], payload["exact"])
