"""A small shop with known dependences, as bundles: real rows, an honest imitation, and faults put into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.catalog.population import PopulationStats
from synth_pipeline.catalog.schema import Column, DatabaseSchema, ForeignKey, Table, UniqueKey
from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.config import ChecksConfig
from synth_pipeline.integrity import derive_rules, evaluate
from synth_pipeline.metadata.model import ColumnMetadata, SynthesisMetadata, TableMetadata
from synth_pipeline.quality.model import QualityReport
from synth_pipeline.quality.report import build_report

INT, TEXT, REAL, MOMENT = LogicalType("integer"), LogicalType("text"), LogicalType("float"), LogicalType("datetime")
CUSTOMERS = 900
DAY = 86_400_000_000
RARE = "Zwischenwasser"

SCHEMA = DatabaseSchema(
    "sqlite",
    (
        Table(
            "customer", "customer",
            (
                Column("id", INT, "INTEGER", nullable=False), Column("email", TEXT, "TEXT", nullable=False), Column("region", TEXT, "TEXT"),
                Column("town", TEXT, "TEXT"), Column("age", INT, "INTEGER"), Column("since", MOMENT, "DATETIME"),
            ),
            primary_key=("id",), unique_keys=(UniqueKey(("email",)),),
        ),
        Table(
            "orders", "orders",
            (
                Column("id", INT, "INTEGER", nullable=False), Column("customer_id", INT, "INTEGER", nullable=False),
                Column("placed", MOMENT, "DATETIME"),
                Column("channel", TEXT, "TEXT"), Column("amount", REAL, "REAL"), Column("tax", REAL, "REAL"), Column("rating", INT, "INTEGER"),
            ),
            primary_key=("id",), foreign_keys=(ForeignKey("orders_customer", "orders", ("customer_id",), "customer", ("id",)),),
        ),
    ),
)  # fmt: skip

METADATA = SynthesisMetadata(
    schema_fingerprint=SCHEMA.fingerprint(),
    tables={
        "customer": TableMetadata(
            columns={
                "id": ColumnMetadata(sdtype="id"), "email": ColumnMetadata(sdtype="email", pii=True), "region": ColumnMetadata(sdtype="categorical"),
                "town": ColumnMetadata(sdtype="categorical"), "age": ColumnMetadata(sdtype="numerical"), "since": ColumnMetadata(sdtype="datetime"),
            },
            primary_key=("id",),
        ),
        "orders": TableMetadata(
            columns={
                "id": ColumnMetadata(sdtype="id"), "customer_id": ColumnMetadata(sdtype="id"), "placed": ColumnMetadata(sdtype="datetime"),
                "channel": ColumnMetadata(sdtype="categorical"), "amount": ColumnMetadata(sdtype="numerical"),
                "tax": ColumnMetadata(sdtype="numerical"),
                "rating": ColumnMetadata(sdtype="numerical"),
            },
            primary_key=("id",),
        ),
    },
)  # fmt: skip


@dataclass
class Shop:
    """Rows by table, as dictionaries of arrays that a test may change."""

    customer: dict[str, Any]
    orders: dict[str, Any]

    def arrow(self, table: str) -> pa.Table:
        columns = dict(getattr(self, table))
        for name in ("since", "placed"):
            if name in columns:
                columns[name] = pa.array(np.asarray(columns[name]).astype("datetime64[us]"))
        return pa.table(columns)


def make(seed: int) -> Shop:
    """One draw from the same population; every seed has e-mail addresses of its own."""
    rng = np.random.default_rng(seed)
    n = CUSTOMERS
    region = rng.choice(["north", "south", "west"], n, p=[0.5, 0.3, 0.2])
    town = np.where(rng.random(n) < 0.8, np.char.add(region, "stadt"), np.char.add(region, "burg")).astype(object)
    if seed == 1:
        town[:3] = RARE
    age = np.clip(rng.normal(45, 14, n).round(), 18, 90).astype(np.int64)
    since = 1_400_000_000_000_000 + rng.integers(0, 900, n) * DAY
    count = rng.poisson(np.where(region == "north", 4.5, 2.0))
    owner = np.repeat(np.arange(n), count)
    m = len(owner)
    placed = since[owner] + (rng.exponential(120, m) * DAY).astype(np.int64) + rng.integers(0, DAY, m)
    channel = np.where(rng.random(m) < np.where(age[owner] > 50, 0.85, 0.2), "phone", "web")
    level = rng.normal(0, 1, n)
    amount = np.round(np.exp(2.5 + age[owner] / 40 + 0.8 * level[owner] + rng.normal(0, 0.25, m)), 2)
    tax = np.round(amount * 0.19 + rng.normal(0, 0.3, m), 2)
    rating = np.clip((3 + level[owner] + rng.normal(0, 0.6, m)).round(), 1, 5).astype(np.int64)
    customer = {
        "id": np.arange(1, n + 1),
        "email": [f"person{seed}.{i}@mail{seed}.example" for i in range(n)],
        "region": region,
        "town": town,
        "age": age,
        "since": since,
    }
    orders = {
        "id": np.arange(1, m + 1),
        "customer_id": owner + 1,
        "placed": placed,
        "channel": channel,
        "amount": amount,
        "tax": tax,
        "rating": rating,
    }
    return Shop(customer, orders)


def write(shop: Shop, directory: Path, *, holdout: float = 0.0) -> TableBundle:
    """The shop as a bundle, with annotations where rows are held out."""
    held = np.random.default_rng(9).random(len(shop.customer["id"])) < holdout
    owners = {"customer": np.arange(len(held)), "orders": np.asarray(shop.orders["customer_id"]) - 1}
    with BundleWriter(directory, SCHEMA) as writer:
        for table, owner in owners.items():
            notes = None
            if holdout:
                notes = pa.table({"core": np.ones(len(owner), dtype=bool), "weight": np.ones(len(owner)), "entity": owner, "holdout": held[owner]})
            writer.write(table, shop.arrow(table), notes)
    return TableBundle.open(directory)


def training_rows(shop: Shop, bundle: TableBundle) -> Shop:
    """The rows that were not held out, as they are: what a synthesizer that copies would give."""
    kept = []
    for table in ("customer", "orders"):
        notes = bundle.annotations(table)
        assert notes is not None
        keep = ~notes.column("holdout").to_numpy()
        kept.append({k: np.asarray(v)[keep] for k, v in getattr(shop, table).items()})
    return Shop(kept[0], kept[1])


def sensitive(table: str, *columns: str) -> SynthesisMetadata:
    """The shop's metadata with columns marked sensitive."""
    old = METADATA.tables[table]
    marked = {n: c.model_copy(update={"sensitive": n in columns}) for n, c in old.columns.items()}
    return METADATA.model_copy(update={"tables": {**METADATA.tables, table: old.model_copy(update={"columns": marked})}})


def report_on(
    real: TableBundle, synthetic: TableBundle, *, checks: ChecksConfig | None = None, facts: Mapping[str, Any] | None = None,
    metadata: SynthesisMetadata = METADATA,
) -> QualityReport:  # fmt: skip
    """The report of two bundles of the shop."""
    integrity = evaluate(synthetic, derive_rules(SCHEMA, metadata), SCHEMA)
    population = PopulationStats(rows={t: real.rows(t) for t in SCHEMA.table_ids})
    given = {"source": "shop", "identifier": "shop-1", "seed": 0, "seconds": {"fit": 1.5}, "privacy": "standard", **(facts or {})}
    return build_report(SCHEMA, metadata, real, synthetic, population, integrity=integrity, facts=given, checks=checks or ChecksConfig())
