"""Rules that a database obeys are found, and every synthetic row obeys them."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pyarrow as pa
import pytest

from synth_pipeline.artifacts import TableBundle
from synth_pipeline_tests.test_any_schema import synthesize

DDL = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, city TEXT NOT NULL, country TEXT NOT NULL, since DATE NOT NULL);
CREATE TABLE product (id INTEGER PRIMARY KEY, price NUMERIC(8,2) NOT NULL, weight REAL NOT NULL, maker TEXT NOT NULL);
CREATE TABLE purchase (
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer (id),
  bought DATE NOT NULL, due DATE NOT NULL, shipped DATE, city TEXT NOT NULL, total NUMERIC(10,2) NOT NULL);
CREATE TABLE line (
  purchase_id INTEGER NOT NULL REFERENCES purchase (id), no INTEGER NOT NULL,
  product_id INTEGER NOT NULL REFERENCES product (id), price NUMERIC(8,2) NOT NULL, quantity INTEGER NOT NULL, amount NUMERIC(10,2) NOT NULL
  CHECK (amount <= 150), PRIMARY KEY (purchase_id, no), UNIQUE (purchase_id, product_id));
CREATE TABLE payment (
  id INTEGER PRIMARY KEY, purchase_id INTEGER NOT NULL REFERENCES purchase (id), customer_id INTEGER NOT NULL REFERENCES customer (id),
  amount NUMERIC(10,2) NOT NULL);
CREATE TABLE tariff (customer_id INTEGER NOT NULL REFERENCES customer (id), valid_from DATE NOT NULL, valid_to DATE, fee INTEGER NOT NULL,
  PRIMARY KEY (customer_id, valid_from));
"""


def day(n: int) -> str:
    import datetime as dt

    return (dt.date(2015, 1, 1) + dt.timedelta(days=n)).isoformat()


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> tuple[TableBundle, list[str]]:
    folder = tmp_path_factory.mktemp("rules")
    path = folder / "shop.db"
    choose = random.Random(3)
    connection = sqlite3.connect(path)
    connection.executescript(DDL)
    cities = {"Oslo": "Norway", "Bergen": "Norway", "Rome": "Italy", "Turin": "Italy", "Lyon": "France", "Nice": "France"}
    places = [choose.choice(list(cities)) for _ in range(300)]
    connection.executemany(
        "INSERT INTO customer VALUES (?,?,?,?)", [(i + 1, c, cities[c], day(choose.randint(0, 800))) for i, c in enumerate(places)]
    )
    prices = [round(choose.uniform(1, 90), 2) for _ in range(80)]
    connection.executemany(
        "INSERT INTO product VALUES (?,?,?,?)", [(i + 1, p, choose.uniform(1, 5), choose.choice("abc")) for i, p in enumerate(prices)]
    )
    purchase = 0
    for customer, place in enumerate(places, start=1):
        at = 800 + choose.randint(0, 200)
        for _ in range(choose.choice([0, 1, 2, 3, 6])):
            purchase += 1
            at += choose.randint(1, 90)
            total = 0.0
            lines = []
            for no, product in enumerate(choose.sample(range(80), choose.randint(1, 5)), start=1):
                quantity = choose.randint(1, max(1, min(4, int(150 // prices[product]))))
                amount = round(prices[product] * quantity, 2)
                total += amount
                lines.append((purchase, no, product + 1, prices[product], quantity, amount))
            shipped = day(at + choose.randint(0, 9)) if choose.random() < 0.8 else None
            connection.execute(
                "INSERT INTO purchase VALUES (?,?,?,?,?,?,?)", (purchase, customer, day(at), day(at + 14), shipped, place, round(total, 2))
            )
            connection.executemany("INSERT INTO line VALUES (?,?,?,?,?,?)", lines)
            connection.execute("INSERT INTO payment VALUES (?,?,?,?)", (purchase, purchase, customer, round(total, 2)))
        starts = sorted(choose.sample(range(2000), choose.randint(1, 4)))
        for start, end in zip(starts, [*starts[1:], None], strict=True):
            connection.execute(
                "INSERT INTO tariff VALUES (?,?,?,?)", (customer, day(start), None if end is None else day(end), choose.randint(10, 40))
            )
    connection.commit()
    connection.close()
    _, bundle, report = synthesize(path, folder)
    assert report.passed
    return bundle, bundle.info["synthesizer"]["rules"]


def frame(bundle: TableBundle, table: str) -> list[dict[str, object]]:
    return bundle.read(table).to_pylist()


def by(rows: list[dict[str, object]], key: str) -> dict[object, dict[str, object]]:
    return {r[key]: r for r in rows}


def test_columns_copied_from_a_parent(synthetic: tuple[TableBundle, list[str]]) -> None:
    bundle, rules = synthetic
    assert "purchase.city = city of its customer" in rules
    assert "line.price = price of its product" in rules
    customers, products = by(frame(bundle, "customer"), "id"), by(frame(bundle, "product"), "id")
    assert all(r["city"] == customers[r["customer_id"]]["city"] for r in frame(bundle, "purchase"))
    assert all(r["price"] == products[r["product_id"]]["price"] for r in frame(bundle, "line"))


def test_a_column_that_determines_another(synthetic: tuple[TableBundle, list[str]]) -> None:
    bundle, rules = synthetic
    assert "customer.city determines country" in rules
    assert len({(r["city"], r["country"]) for r in frame(bundle, "customer")}) == 6


def test_products_and_sums(synthetic: tuple[TableBundle, list[str]]) -> None:
    bundle, rules = synthetic
    assert any(r.startswith("line.amount = ") for r in rules)
    assert any(r.startswith("purchase.total = sum of") for r in rules)
    sums: dict[object, float] = {}
    for r in frame(bundle, "line"):
        assert abs(float(r["price"]) * int(str(r["quantity"])) - float(r["amount"])) < 0.006  # type: ignore[arg-type]
        sums[r["purchase_id"]] = sums.get(r["purchase_id"], 0.0) + float(r["amount"])  # type: ignore[arg-type]
    for p in frame(bundle, "purchase"):
        assert abs(sums.get(p["id"], 0.0) - float(p["total"])) < 0.006  # type: ignore[arg-type]


def test_a_check_on_a_computed_column_holds(synthetic: tuple[TableBundle, list[str]]) -> None:
    """The fixture saw no violation; here it is made sure that there was something to keep: a draw would break it."""
    bundle, _ = synthetic
    amounts = [float(r["amount"]) for r in frame(bundle, "line")]  # type: ignore[arg-type]
    assert 100 < max(amounts) <= 150


def test_dates_keep_their_distance_and_their_order(synthetic: tuple[TableBundle, list[str]]) -> None:
    bundle, rules = synthetic
    assert "purchase.due = bought +14" in rules
    for r in frame(bundle, "purchase"):
        assert (r["due"] - r["bought"]).days == 14  # type: ignore[operator]
        assert r["shipped"] is None or r["shipped"] >= r["bought"]  # type: ignore[operator]


def test_line_numbers_count_from_one_and_no_product_repeats(synthetic: tuple[TableBundle, list[str]]) -> None:
    bundle, rules = synthetic
    assert "line.no counts from 1 within its parent" in rules
    numbers: dict[object, list[int]] = {}
    for r in frame(bundle, "line"):
        numbers.setdefault(r["purchase_id"], []).append(int(str(r["no"])))
    assert all(sorted(v) == list(range(1, len(v) + 1)) for v in numbers.values())


def test_two_paths_to_one_customer_meet(synthetic: tuple[TableBundle, list[str]]) -> None:
    bundle, rules = synthetic
    assert "payment.customer_id = that of its purchase" in rules
    purchases = by(frame(bundle, "purchase"), "id")
    assert all(r["customer_id"] == purchases[r["purchase_id"]]["customer_id"] for r in frame(bundle, "payment"))


def test_intervals_continue_where_the_one_before_ended(synthetic: tuple[TableBundle, list[str]]) -> None:
    bundle, rules = synthetic
    assert "tariff.valid_to = valid_from of the next row of the same parent" in rules
    table = bundle.read("tariff").sort_by([("customer_id", "ascending"), ("valid_from", "ascending")])
    rows = table.to_pylist()
    for a, b in zip(rows, rows[1:], strict=False):
        assert a["valid_to"] == (b["valid_from"] if a["customer_id"] == b["customer_id"] else None)


def test_bundles_have_the_types_of_the_schema(synthetic: tuple[TableBundle, list[str]]) -> None:
    bundle, _ = synthetic
    assert pa.types.is_date(bundle.read("purchase").schema.field("bought").type)
    assert Path(bundle.directory).is_dir()
