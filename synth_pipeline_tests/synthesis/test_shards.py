"""A database that is drawn in shards: whole, in order, and the same whoever draws it and whatever happens to him."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from synth_pipeline import pipeline
from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.config import SourceConfig
from synth_pipeline.integrity import derive_rules, evaluate
from synth_pipeline.metadata.model import SynthesisMetadata
from synth_pipeline.progress import Progress, Silent
from synth_pipeline.synthesis.base import FittedSynthesizer, SampleRequest
from synth_pipeline.synthesis.parallel import Workers
from synth_pipeline.synthesis.relational.random import Lane, stream
from synth_pipeline.synthesis.relational.shapes import KeyShapes, in_lane
from synth_pipeline.synthesis.relational.shards import spread
from synth_pipeline.synthesis.relational.trees import Feature
from synth_pipeline.synthesis.relational.variable import PRIVACY, Variable

Shop = tuple[DatabaseSchema, SynthesisMetadata, FittedSynthesizer]
CUSTOMERS, ORDERS, PRODUCTS = 400, 1_500, 300


def build_shop(path: Path) -> None:
    """Customers with orders in date order, lines with sums over them, a bridge, categories in a tree, tills."""
    rng = np.random.Generator(np.random.PCG64(7))
    with sqlite3.connect(path) as db:
        db.executescript("""
            CREATE TABLE till (id INTEGER PRIMARY KEY, label TEXT NOT NULL, opened DATE, floor INTEGER, area REAL);
            CREATE TABLE category (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES category (id), weight REAL NOT NULL);
            CREATE TABLE product (code CHAR(9) PRIMARY KEY, category_id INTEGER NOT NULL REFERENCES category (id), price NUMERIC(8, 2) NOT NULL);
            CREATE TABLE customer (id INTEGER PRIMARY KEY, email VARCHAR(60) NOT NULL UNIQUE, city TEXT, joined DATE NOT NULL);
            CREATE TABLE orders (id INTEGER PRIMARY KEY, number TEXT NOT NULL UNIQUE, customer_id INTEGER NOT NULL REFERENCES customer (id),
                till_id INTEGER NOT NULL REFERENCES till (id), placed DATE NOT NULL, total NUMERIC(10, 2) NOT NULL);
            CREATE TABLE line (order_id INTEGER NOT NULL REFERENCES orders (id), position INTEGER NOT NULL, code CHAR(9) NOT NULL
                REFERENCES product (code), price NUMERIC(8, 2) NOT NULL, quantity INTEGER NOT NULL, PRIMARY KEY (order_id, position));
            CREATE TABLE wish (customer_id INTEGER NOT NULL REFERENCES customer (id), code CHAR(9) NOT NULL REFERENCES product (code),
                PRIMARY KEY (customer_id, code));
        """)
        tills = [(i + 1, f"Till {i}", "2019-01-01", i % 3, 10.5 * i) for i in range(6)]
        db.executemany("INSERT INTO till VALUES (?, ?, ?, ?, ?)", tills)
        categories = [(i + 1, None if i < 5 else int(rng.integers(1, 6)), float(np.round(rng.lognormal(1, 1), 3))) for i in range(45)]
        db.executemany("INSERT INTO category VALUES (?, ?, ?)", categories)
        prices = np.round(rng.lognormal(2.5, 0.6, PRODUCTS), 2)
        products = [(f"P{int(rng.integers(10)):01d}-{i:06d}", int(rng.integers(6, 46)), float(p)) for i, p in enumerate(prices)]
        db.executemany("INSERT INTO product VALUES (?, ?, ?)", products)
        days = np.sort(rng.integers(0, 700, CUSTOMERS))
        first = np.datetime64("2020-01-01")
        customers = [(i + 1, f"u{i}@mail.example", str(rng.choice(["Ulm", "Bonn", "Kiel"])), str(first + int(d))) for i, d in enumerate(days)]
        db.executemany("INSERT INTO customer VALUES (?, ?, ?, ?)", customers)
        owner = rng.choice(CUSTOMERS, ORDERS, p=(w := rng.pareto(2.0, CUSTOMERS) + 0.1) / w.sum())
        placed = first + days[owner] + rng.integers(1, 300, ORDERS)
        order = np.argsort(placed, kind="stable")
        for number, at in enumerate(order):
            lines = [(int(c), int(rng.integers(1, 5))) for c in rng.integers(0, PRODUCTS, int(rng.integers(1, 6)))]
            total = sum(products[c][2] * q for c, q in lines)
            db.execute(
                "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)",
                (number + 1, f"R-{number + 1:07d}", int(owner[at]) + 1, int(rng.integers(1, 7)), str(placed[at]), round(total, 2)),
            )
            rows = [(number + 1, k + 1, products[c][0], products[c][2], q) for k, (c, q) in enumerate(lines)]
            db.executemany("INSERT INTO line VALUES (?, ?, ?, ?, ?)", rows)
        pairs = {(int(a), int(b)) for a, b in zip(rng.integers(0, CUSTOMERS, 2_000), rng.beta(1, 3, 2_000) * PRODUCTS, strict=True)}
        db.executemany("INSERT INTO wish VALUES (?, ?)", [(a + 1, products[b][0]) for a, b in sorted(pairs)])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    build_shop(folder / "shop.db")
    config = SourceConfig.model_validate({"name": "shop", "source": {"url": f"sqlite:///{folder}/shop.db"}, "tables": {"preserve": ["till"]}})
    reflected = pipeline.reflect(config)
    metadata = pipeline.infer(config, reflected)
    working = pipeline.working_schema(config, reflected, metadata)
    (folder / "subset").mkdir()
    (folder / "fit").mkdir()
    subset = pipeline.subset(config, working, metadata, folder / "subset")
    return working, metadata, pipeline.fit(config, working, metadata, subset, folder / "fit")


def drawn(shop: Shop, folder: Path, workers: Workers | None = None, progress: Progress | None = None, **options: object) -> TableBundle:
    request = SampleRequest(**{"seed": 3, "shard_rows": 1_000, **options, "workers": workers or Workers()})  # type: ignore[arg-type]
    with BundleWriter(folder, shop[0]) as writer:
        shop[2].sample(request, writer, progress or Silent())
    return TableBundle.open(folder)


class Hook(Silent):
    """Does something once, when the first rows have come from a worker."""

    def __init__(self, action: Callable[[], None], after: int) -> None:
        self._action, self._left = action, after

    @contextmanager
    def step(self, title: str, total: float | None = None) -> Iterator[Hook]:
        yield self

    def advance(self, amount: float = 1, note: str = "") -> None:
        if note == "line":
            self._left -= 1
            if self._left == 0:
                self._action()


@pytest.fixture(scope="module")
def alone(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> TableBundle:
    return drawn(shop, tmp_path_factory.mktemp("alone") / "out")


def test_every_rule_of_the_schema_holds_over_all_shards(shop: Shop, alone: TableBundle) -> None:
    report = evaluate(alone, derive_rules(shop[0], shop[1]), shop[0])
    assert [(r.rule.text, r.violations) for r in report.results if r.violations] == []
    assert "warnings" not in alone.info
    assert not list(alone.directory.glob(".waiting*"))


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("shard_rows", [200, 1_000, 10**9])
def test_row_counts_are_what_was_asked_for(scale: float, shard_rows: int, shop: Shop, tmp_path: Path) -> None:
    bundle = drawn(shop, tmp_path / "out", scale=scale, shard_rows=shard_rows)
    rows = shop[2].info["population"]
    for table, real in rows.items():
        assert bundle.rows(table) == (real if table in ("till", "category") else round(real * scale)), table


def test_numbers_count_and_sums_add_up_over_all_shards(alone: TableBundle) -> None:
    orders = alone.read("orders").sort_by("id").to_pandas()
    assert orders["id"].tolist() == list(range(1, ORDERS + 1))
    assert orders["placed"].is_monotonic_increasing
    assert orders["number"].tolist() == [f"R-{i:07d}" for i in range(1, ORDERS + 1)]
    lines = alone.read("line").to_pandas()
    sums = (lines["price"] * lines["quantity"]).groupby(lines["order_id"]).sum()
    assert (orders.set_index("id")["total"].loc[sums.index] == sums).all()


def test_what_shards_share_is_used_as_often_as_in_the_source(shop: Shop, alone: TableBundle) -> None:
    """Tills serve the orders of all shards."""
    counts = np.array(alone.read("orders").column("till_id").value_counts().field("counts").to_pylist())
    assert len(counts) == 6
    assert counts.min() > ORDERS / 6 * 0.7


def test_another_size_of_shards_is_another_database_and_a_large_one_is_the_whole(shop: Shop, alone: TableBundle, tmp_path: Path) -> None:
    whole, larger = drawn(shop, tmp_path / "a", shard_rows=10**9), drawn(shop, tmp_path / "b", shard_rows=10**8)
    assert whole.content_hash == larger.content_hash != alone.content_hash


def test_generations_of_one_synthesizer_differ(shop: Shop, tmp_path: Path) -> None:
    hashes = {drawn(shop, tmp_path / str(seed), seed=seed).content_hash for seed in range(4)}
    assert len(hashes) == 4


def test_two_processes_give_the_same_bytes(shop: Shop, alone: TableBundle, tmp_path: Path) -> None:
    assert drawn(shop, tmp_path / "out", Workers(2)).content_hash == alone.content_hash


def test_a_killed_process_changes_nothing(shop: Shop, alone: TableBundle, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def kill() -> None:
        from joblib.externals.loky import get_reusable_executor

        os.kill(next(iter(get_reusable_executor(reuse=True)._processes)), signal.SIGKILL)

    assert drawn(shop, tmp_path / "out", Workers(2), Hook(kill, 2), shard_rows=1_000).content_hash == alone.content_hash
    assert "died" in caplog.text


def test_a_dask_cluster_gives_the_same_bytes_even_if_a_worker_is_killed(shop: Shop, alone: TableBundle, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        workers = Workers(2, "dask", cluster.scheduler_address)
        assert drawn(shop, tmp_path / "a", workers).content_hash == alone.content_hash
        before = set(client.run(os.getpid).values())
        hook = Hook(lambda: os.kill(next(iter(before)), signal.SIGKILL), 2)
        assert drawn(shop, tmp_path / "b", workers, hook).content_hash == alone.content_hash
        client.wait_for_workers(2, timeout=60)
        assert before - set(client.run(os.getpid).values())


def test_lanes_never_make_the_same_value() -> None:
    keys = [KeyShapes.fit([f"K{i:03d}" for i in range(200)], 12).generate(400, (), stream(0, i), Lane(i, 5)) for i in range(5)]
    assert len({k for lane in keys for k in lane}) == 2_000
    for value in ("Anna", "a.b@example.com", "3M Corp", ""):
        made = [in_lane(value, Lane(i, 7), 30) for i in range(7)]
        assert len(set(made)) == 7
        assert all(len(m) <= 30 for m in made)
        assert all(in_lane(m, Lane(i, 7), 30) == m for i, m in enumerate(made))


def test_shares_add_up_below_their_limits() -> None:
    assert spread(np.array([1.0, 1.0, 2.0]), 10, np.array([9, 9, 9])).sum() == 10
    assert spread(np.array([5.0, 0.0, 1.0]), 10, np.array([2, 3, 9])).tolist() == [2, 0, 8]
    assert spread(np.array([0.0, 0.0]), 5, np.array([2, 2])).tolist() == [2, 2]
    assert spread(np.ones(7), 100, np.full(7, 100)).sum() == 100


def test_who_fits_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees that grow in other processes are the trees that grow here."""
    from synth_pipeline.synthesis.relational import later

    rng = np.random.Generator(np.random.PCG64(1))
    x, columns = rng.normal(size=600), {"a": rng.integers(0, 50, 600).astype(np.uint8)}
    growths = [
        later.Growth(x, np.arange(600), [Feature("a")], columns, np.arange(600), PRIVACY["standard"], 0, ("t", i), smooth=True) for i in range(4)
    ]
    monkeypatch.setattr(later, "_WORTH_IT", 0)
    grown: list[list[Variable]] = []
    for workers in (Workers(), Workers(2)):
        together = later.Later(workers)
        grown.append([together.variable(g) for g in growths])
        together.finish()
    for one, other in zip(*grown, strict=True):
        assert one.trees
        draws = [v.draw(columns, 600, stream(0, "d")) for v in (one, other)]
        assert np.array_equal(*draws)
