"""Keys that count in the order of dates, numbers written from them, dates that follow a calendar, and what one column says of another."""

from __future__ import annotations

import datetime as dt
import random
import sqlite3

import numpy as np
import pyarrow as pa
import pytest

from synth_pipeline.artifacts import TableBundle
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.rules import date_of, day_of, months_of
from synth_pipeline_tests.test_any_schema import synthesize

DDL = """
CREATE TABLE contract (id INTEGER PRIMARY KEY, size TEXT NOT NULL, day INTEGER NOT NULL, started DATE NOT NULL, ended DATE, state TEXT NOT NULL,
  discount INTEGER);
CREATE TABLE bill (id INTEGER PRIMARY KEY, contract_id INTEGER NOT NULL REFERENCES contract (id), number TEXT NOT NULL UNIQUE,
  issued DATE NOT NULL, amount NUMERIC(8,2) NOT NULL, fee INTEGER NOT NULL, rebate INTEGER NOT NULL);
CREATE TABLE receipt (id INTEGER PRIMARY KEY, bill_id INTEGER NOT NULL REFERENCES bill (id), paid DATE, kind TEXT NOT NULL);
CREATE TABLE visit (id INTEGER PRIMARY KEY, contract_id INTEGER NOT NULL REFERENCES contract (id), came DATE NOT NULL, seen INTEGER NOT NULL);
"""
LAST = dt.date(2022, 6, 30)


def month_after(start: dt.date, months: int, day: int) -> dt.date:
    month = start.year * 12 + start.month - 1 + months
    following = dt.date((month + 1) // 12, (month + 1) % 12 + 1, 1)
    return min(dt.date(month // 12, month % 12 + 1, min(day, 28)) + dt.timedelta(days=max(0, day - 28)), following - dt.timedelta(days=1))


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> tuple[TableBundle, list[str]]:
    folder = tmp_path_factory.mktemp("calendar")
    path = folder / "bills.db"
    choose = random.Random(5)
    connection = sqlite3.connect(path)
    connection.executescript(DDL)
    starts = sorted(dt.date(2019, 11, 1) + dt.timedelta(days=choose.randrange(800)) for _ in range(400))
    bills, visit = [], 0
    for contract, start in enumerate(starts, start=1):
        day, size = choose.choice([1, 5, 17, 31]), choose.choice("SML")
        end = start + dt.timedelta(days=choose.randrange(20, 500)) if choose.random() < 0.6 else None
        end = end if end and end < LAST else None
        discount = choose.randint(1, 9) if size == "L" else None
        connection.execute(
            "INSERT INTO contract VALUES (?,?,?,?,?,?,?)",
            (contract, size, day, start.isoformat(), end and end.isoformat(), "ended" if end else "running", discount),
        )
        for k in range(1, 40):
            issued = month_after(start, k, day)
            if issued <= (end or LAST):
                bills.append((issued, contract))
        for _ in range(choose.randrange(3)):
            visit += 1
            came = start + dt.timedelta(days=choose.randrange(((end or LAST) - start).days))
            connection.execute("INSERT INTO visit VALUES (?,?,?,?)", (visit, contract, came.isoformat(), choose.randrange(5)))
    count: dict[int, int] = {}
    for key, (issued, contract) in enumerate(sorted(bills), start=1):
        count[issued.year] = count.get(issued.year, 0) + 1
        number = f"R{issued.year}/{count[issued.year]:05d}-A"
        fee = choose.choice([190, 990, 4990])
        rebate = fee * choose.choice([0, 0, 10, 15]) // 100
        row = (key, contract, number, issued.isoformat(), round(choose.uniform(5, 90), 2), fee, rebate)
        connection.execute("INSERT INTO bill VALUES (?,?,?,?,?,?,?)", row)
        wait = choose.randint(0, 40)
        paid, kind = (issued + dt.timedelta(days=wait), "late" if wait > 20 else "in time") if choose.random() < 0.8 else (None, "")
        connection.execute(
            "INSERT INTO receipt VALUES (?,?,?,?)", (key, key, paid and paid.isoformat(), kind or choose.choice(["open", "lost"]))
        )
    connection.commit()
    connection.close()
    _, bundle, report = synthesize(path, folder)
    assert report.passed
    return bundle, bundle.info["synthesizer"]["rules"]


def joined(bundle: TableBundle, child: str, key: str, parent: str) -> list[tuple[dict[str, object], dict[str, object]]]:
    above = {r["id"]: r for r in bundle.read(parent).to_pylist()}
    return [(r, above[r[key]]) for r in bundle.read(child).to_pylist()]


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
    assert "bill.number = 'R' + %Y(issued) + '/' + 99999 + '-A', counted in the order of id, from the start for each %Y(issued)" in rules
    count: dict[int, int] = {}
    for row in sorted(bundle.read("bill").to_pylist(), key=lambda r: r["id"]):
        year = row["issued"].year
        count[year] = count.get(year, 0) + 1
        assert row["number"] == f"R{year}/{count[year]:05d}-A"


def test_dates_follow_the_calendar_of_their_owner_until_its_end(synthetic: tuple[TableBundle, list[str]]) -> None:
    bundle, rules = synthetic
    assert "bill.issued comes every month, on the day of its contract, the first 1 months after started of its contract" in rules
    issued: dict[object, list[dt.date]] = {}
    for bill, contract in joined(bundle, "bill", "contract_id", "contract"):
        issued.setdefault(contract["id"], []).append(bill["issued"])  # type: ignore[arg-type]
    wrong = 0
    for contract in bundle.read("contract").to_pylist():
        dates = sorted(issued.get(contract["id"], []))
        assert dates == [month_after(contract["started"], k, contract["day"]) for k in range(1, len(dates) + 1)]
        following = month_after(contract["started"], len(dates) + 1, contract["day"])
        end = contract["ended"] or LAST
        wrong += not ((dates or [contract["started"]])[-1] <= end < following)
    assert wrong <= 20  # rows are added or taken where the total asks for it


def test_who_goes_on_is_billed_to_the_last(synthetic: tuple[TableBundle, list[str]]) -> None:
    bundle, _ = synthetic
    issued: dict[object, set[dt.date]] = {}
    for bill in bundle.read("bill").to_pylist():
        issued.setdefault(bill["contract_id"], set()).add(bill["issued"])
    running = [c for c in bundle.read("contract").to_pylist() if c["ended"] is None]
    assert len(running) > 100
    for contract in running:
        due = {d for k in range(1, 60) if (d := month_after(contract["started"], k, contract["day"])) <= LAST}
        assert issued.get(contract["id"], set()) == due


def test_a_category_follows_from_where_a_date_lies(synthetic: tuple[TableBundle, list[str]]) -> None:
    bundle, rules = synthetic
    assert "contract.state is ended where ended is known; running where ended is missing" in rules
    expected = "receipt.kind is in time below 21 days, late from 21 days of paid - issued; lost or open where paid is missing"
    assert any(r.startswith(expected) for r in rules)
    assert all((r["state"] == "ended") == (r["ended"] is not None) for r in bundle.read("contract").to_pylist())
    for receipt, bill in joined(bundle, "receipt", "bill_id", "bill"):
        if receipt["paid"] is None:
            assert receipt["kind"] in ("open", "lost")
        else:
            assert receipt["kind"] == ("late" if (receipt["paid"] - bill["issued"]).days > 20 else "in time")  # type: ignore[operator]


def test_a_column_is_empty_where_another_says_so(synthetic: tuple[TableBundle, list[str]]) -> None:
    bundle, rules = synthetic
    assert "contract.discount is empty exactly where size = M, S" in rules
    assert all((r["discount"] is None) == (r["size"] != "L") for r in bundle.read("contract").to_pylist())


def test_a_column_takes_the_values_that_another_allows(synthetic: tuple[TableBundle, list[str]]) -> None:
    bundle, rules = synthetic
    assert "bill.rebate is one of at most 3 values for each fee" in rules
    rows = bundle.read("bill").to_pylist()
    assert {(r["fee"], r["rebate"]) for r in rows} == {(f, f * share // 100) for f in (190, 990, 4990) for share in (0, 10, 15)}


def test_dates_stay_between_those_of_their_parent(synthetic: tuple[TableBundle, list[str]]) -> None:
    bundle, rules = synthetic
    assert "visit.came ≤ ended of its contract" in rules
    for visit, contract in joined(bundle, "visit", "contract_id", "contract"):
        assert contract["started"] <= visit["came"] <= (contract["ended"] or LAST)  # type: ignore[operator]


def test_months_and_days_make_the_date_again() -> None:
    dates = [dt.date(2024, 1, 31), dt.date(1969, 12, 31), None, dt.date(2023, 2, 28)]
    for kind in (pa.date32(), pa.timestamp("us")):
        codec = NumberCodec(kind)
        x = codec.encode(pa.array(dates, type=pa.date32()).cast(kind))
        months, day = months_of(codec, x), day_of(codec, x)
        assert np.array_equal(date_of(codec, months, day), x, equal_nan=True)
        later = codec.exact(date_of(codec, months + 1, day), np.isnan(x)).cast(pa.timestamp("us")).cast(pa.date32(), safe=False).to_pylist()
        assert later == [dt.date(2024, 2, 29), dt.date(1970, 1, 31), None, dt.date(2023, 3, 28)]
