"""How well the subset keeps children per parent, against three usual ways to take one, on a heavy-tailed database.

60,000 customers (30 % without orders), about 330,000 orders (5 % with a NULL key), about 1,030,000 items, 5,000 products.

    python -m benchmarks.heavy_tail [--seeds 20] [--share 0.02] [--sdv]
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
from pathlib import Path

import numpy as np

DDL = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, age INTEGER);
CREATE TABLE product (id INTEGER PRIMARY KEY, price REAL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer(id), day INTEGER);
CREATE TABLE item (id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES orders(id),
                   product_id INTEGER NOT NULL REFERENCES product(id), n INTEGER);
"""
INDEXES = """
CREATE INDEX orders_customer ON orders(customer_id); CREATE INDEX item_order ON item(order_id); CREATE INDEX item_product ON item(product_id);
"""
TREE_KEYS = {"orders": "customer_id", "item": "order_id"}
KEYS = {"customer→orders": ("orders", "customer_id", "customer"), "order→items": ("item", "order_id", "orders")}


def generate(path: Path, seed: int = 0, scale: int = 1) -> None:
    """Writes the database; `scale` multiplies customers and products."""
    rng = np.random.default_rng(seed)
    customers, products = 60_000 * scale, 5_000 * scale
    degree = np.where(rng.random(customers) < 0.3, 0, np.minimum(1 + (rng.pareto(1.25, customers) * 2.26).astype(int), 2_000))
    owner = np.repeat(np.arange(1, customers + 1), degree)
    owner = rng.permutation(owner)
    missing = rng.random(owner.size) < 0.05
    lines = rng.geometric(0.322, owner.size)
    of = np.repeat(np.arange(1, owner.size + 1), lines)
    product = 1 + np.minimum((products * rng.random(of.size) ** 2.5).astype(int), products - 1)
    with sqlite3.connect(path) as connection:
        connection.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {DDL}")
        connection.executemany(
            "INSERT INTO customer VALUES (?,?)", zip(range(1, customers + 1), rng.integers(18, 90, customers).tolist(), strict=True)
        )
        connection.executemany("INSERT INTO product VALUES (?,?)", zip(range(1, products + 1), rng.random(products).tolist(), strict=True))
        keys = [None if m else o for o, m in zip(owner.tolist(), missing.tolist(), strict=True)]
        connection.executemany(
            "INSERT INTO orders VALUES (?,?,?)", zip(range(1, len(keys) + 1), keys, rng.integers(0, 999, len(keys)).tolist(), strict=True)
        )
        n = rng.integers(1, 9, of.size)
        connection.executemany(
            "INSERT INTO item VALUES (?,?,?,?)", zip(range(1, of.size + 1), of.tolist(), product.tolist(), n.tolist(), strict=True)
        )
        connection.executescript(INDEXES)
    connection.close()


def distance(true: np.ndarray, mine: np.ndarray) -> float:
    """KS distance of two samples of degrees."""
    if not mine.size:
        return 1.0
    grid = np.unique(np.concatenate([true, mine]))
    a, b = (np.searchsorted(np.sort(x), grid, side="right") / x.size for x in (true, mine))
    return float(np.abs(a - b).max())


def rfs(path: Path, share: float, seed: int) -> dict[str, float]:
    """This package: KS of core parents; of products by their true number of items and their weights."""
    from synth_pipeline.artifacts import BundleWriter
    from synth_pipeline.config import SubsetConfig
    from synth_pipeline.connectors import connect
    from synth_pipeline.subset import take_subset

    connector = connect(f"sqlite:///{path}")
    schema = connector.reflect()
    with tempfile.TemporaryDirectory() as target:
        options = SubsetConfig(fraction=share, seed=seed, max_rows=10_000_000, tree_keys=TREE_KEYS)
        report = take_subset(connector, schema, options, BundleWriter(target, schema)).report
    connector.close()
    by = {(r["table"], r["columns"][0]): r for r in report["relationships"].values()}
    order = by[("orders", "customer_id")]
    return {
        "customer→orders": order["ks"], "order→items": by[("item", "order_id")]["ks"], "product→items": by[("item", "product_id")]["ks"],
        "product→items plain": by[("item", "product_id")]["ks_plain"], "NULL share": order["null_share"],
        "seconds": report["seconds"], "statements": report["statements"], "rows read": report["rows_read"],
    }  # fmt: skip


def null_share(path: Path, rate: float) -> tuple[float, float, float]:
    """Of the orders' keys: the share of NULLs, and its standard errors in simple random rows and in clusters drawn at the rate.

    Of clusters: the ratio of two sums over entities drawn independently (Cochran 1977, 2.11), where an order without a
    customer is an entity of its own.
    """
    with sqlite3.connect(path) as connection:
        degree = np.array(connection.execute("SELECT COUNT(*) FROM orders WHERE customer_id IS NOT NULL GROUP BY customer_id").fetchall())[:, 0]
        missing = int(connection.execute("SELECT COUNT(*) FROM orders WHERE customer_id IS NULL").fetchone()[0])
    rows = int(degree.sum()) + missing
    p = missing / rows
    residuals = float((p * degree.astype(float)) @ (p * degree.astype(float)) + missing * (1 - p) ** 2)
    return p, (p * (1 - p) / (rate * rows)) ** 0.5, ((1 - rate) / rate * residuals) ** 0.5 / rows


def others(path: Path, share: float, seed: int, sdv: bool) -> dict[str, dict[str, float]]:
    """Random rows from the leaf up, random rows with orphans dropped, and SDV's own subset of the same tables."""
    import pandas as pd

    with sqlite3.connect(path) as connection:
        tables = {t: pd.read_sql(f"SELECT * FROM {t}", connection) for t in ("customer", "product", "orders", "item")}
    true = {name: _degrees(tables[c][k], tables[p]["id"]) for name, (c, k, p) in KEYS.items()}

    def score(part: dict[str, pd.DataFrame]) -> dict[str, float]:
        found = {name: distance(true[name], _degrees(part[c][k], part[p]["id"])) for name, (c, k, p) in KEYS.items()}
        return found | {"NULL share": float(part["orders"]["customer_id"].isna().mean())}

    items = tables["item"].sample(frac=share, random_state=seed)
    up_orders = tables["orders"][tables["orders"]["id"].isin(items["order_id"])]
    up = {
        "item": items,
        "orders": up_orders,
        "customer": tables["customer"][tables["customer"]["id"].isin(up_orders["customer_id"])],
        "product": tables["product"],
    }
    found = {"leaf-up random rows": score(up)}
    if sdv:
        from sdv.errors import InvalidDataError
        from sdv.metadata import Metadata
        from sdv.utils import drop_unknown_references, get_random_subset

        columns = {t: {c: {"sdtype": "id" if c.endswith("id") else "numerical"} for c in d} for t, d in tables.items()}
        metadata = Metadata.load_from_dict({
            "tables": {t: {"primary_key": "id", "columns": c} for t, c in columns.items()},
            "relationships": [
                {"parent_table_name": p, "parent_primary_key": "id", "child_table_name": c, "child_foreign_key": k}
                for c, k, p in (*KEYS.values(), ("item", "product_id", "product"))
            ],
        })  # fmt: skip
        sample = {t: d.sample(frac=share, random_state=seed).reset_index(drop=True) for t, d in tables.items()}
        try:
            sample = drop_unknown_references(sample, metadata, drop_missing_values=False, verbose=False)
        except InvalidDataError:  # of some table no row is left, which SDV refuses
            for child, key, parent in (*KEYS.values(), ("item", "product_id", "product")):
                sample[child] = sample[child][sample[child][key].isin(sample[parent]["id"]) | sample[child][key].isna()]
        found["random rows + drop_unknown_references"] = score(sample)
        np.random.seed(seed)
        for main in ("orders", "customer"):
            size = max(1, int(share * len(tables[main])))
            found[f"get_random_subset, main {main}"] = score(get_random_subset(tables, metadata, main, size, verbose=False))
    return found


def _degrees(child: object, parent: object) -> np.ndarray:
    import pandas as pd

    counts = pd.Series(child).dropna().value_counts()
    return counts.reindex(pd.Series(parent), fill_value=0).to_numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--share", type=float, default=0.02)
    parser.add_argument("--sdv", action="store_true", help="also the arms that need SDV")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "heavy.db"
        generate(path)
        arms: dict[str, list[dict[str, float]]] = {}
        for seed in range(options.seeds):
            for name, figures in {"RFS": rfs(path, options.share, seed), **others(path, options.share, seed, options.sdv)}.items():
                arms.setdefault(name, []).append(figures)
        true, error, design = null_share(path, options.share)
    print(f"means of {options.seeds} seeds at a share of {options.share:g}")
    print(f"NULL share of the source {true:.4f}; standard error of simple random rows {error:.4f}, of independent clusters {design:.4f}")
    for name, figures in arms.items():
        print(f"{name}: " + ", ".join(f"{k} {np.mean([f[k] for f in figures]):.4f}" for k in figures[0]))
    ours = arms["RFS"]
    print("RFS, largest: " + ", ".join(f"{k} {max(f[k] for f in ours):.4f}" for k in ours[0]))


if __name__ == "__main__":
    main()
