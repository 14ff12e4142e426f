"""Keys that count in the order of dates, numbers that are written from them, and what follows a calendar."""

from __future__ import annotations

import datetime as dt
import random
import sqlite3

import pytest

from synth_pipeline.artifacts import TableBundle
from synth_pipeline_tests.test_any_schema import synthesize

DDL = """
CREATE TABLE contract (id INTEGER PRIMARY KEY, size TEXT NOT NULL, started DATE NOT NULL);
CREATE TABLE bill (id INTEGER PRIMARY KEY, contract_id INTEGER NOT NULL REFERENCES contract (id), number TEXT NOT NULL UNIQUE,
  issued DATE NOT NULL, amount NUMERIC(8,2) NOT NULL);
CREATE TABLE receipt (id INTEGER PRIMARY KEY, bill_id INTEGER NOT NULL REFERENCES bill (id), paid DATE NOT NULL);
"""


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> tuple[TableBundle, list[str]]:
    folder = tmp_path_factory.mktemp("calendar")
    path = folder / "bills.db"
    choose = random.Random(5)
    first = dt.date(2019, 11, 1)
    contracts = sorted((first + dt.timedelta(days=choose.randrange(500)), choose.choice("SML")) for _ in range(200))
    bills = []
    for contract, (started, _) in enumerate(contracts, start=1):
        day = choose.randint(1, 28)
        for k in range(1, choose.randint(2, 14)):
            month = started.year * 12 + started.month - 1 + k
            bills.append((dt.date(month // 12, month % 12 + 1, day), contract))
    bills.sort()
    count: dict[int, int] = {}
    connection = sqlite3.connect(path)
    connection.executescript(DDL)
    connection.executemany("INSERT INTO contract VALUES (?,?,?)", [(i, s, d.isoformat()) for i, (d, s) in enumerate(contracts, start=1)])
    for key, (issued, contract) in enumerate(bills, start=1):
        count[issued.year] = count.get(issued.year, 0) + 1
        number = f"R{issued.year}/{count[issued.year]:05d}-A"
        connection.execute("INSERT INTO bill VALUES (?,?,?,?,?)", (key, contract, number, issued.isoformat(), round(choose.uniform(5, 90), 2)))
        connection.execute("INSERT INTO receipt VALUES (?,?,?)", (key, key, (issued + dt.timedelta(days=choose.randint(0, 30))).isoformat()))
    connection.commit()
    connection.close()
    _, bundle, report = synthesize(path, folder)
    assert report.passed
    return bundle, bundle.info["synthesizer"]["rules"]


def test_keys_count_in_the_order_of_dates(synthetic: tuple[TableBundle, list[str]]) -> None:
    bundle, rules = synthetic
    assert "contract.id counts in the order of started" in rules
    assert any(r.startswith("bill.id counts in the order of issued") for r in rules)
    assert "receipt.id counts in the order of its bill" in rules
    for table, column in (("contract", "started"), ("bill", "issued"), ("receipt", "bill_id")):
        rows = sorted(bundle.read(table).to_pylist(), key=lambda r: r["id"])
        assert [r[column] for r in rows] == sorted(r[column] for r in rows)


def test_numbers_are_written_from_the_date_and_the_count(synthetic: tuple[TableBundle, list[str]]) -> None:
    bundle, rules = synthetic
    assert "bill.number = R<%Y of issued>/99999-A, counted in the order of id, from the start for each date" in rules
    count: dict[int, int] = {}
    for row in sorted(bundle.read("bill").to_pylist(), key=lambda r: r["id"]):
        year = row["issued"].year
        count[year] = count.get(year, 0) + 1
        assert row["number"] == f"R{year}/{count[year]:05d}-A"
