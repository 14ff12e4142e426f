"""Tables that enumerate days, times and numbers are copied; tables that say something of each day are not."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import synth_pipeline as sp
from synth_pipeline.synthesis.base import SampleRequest
from synth_pipeline.synthesis.relational.enumerations import enumerates
from synth_pipeline_tests.helpers import sampled

START, DAYS = dt.date(2022, 1, 1), 800


def fiscal(d: dt.date) -> tuple[int, int]:
    """Week and period of a calendar of fifty-two weeks that begins on the first Sunday of February."""
    n = (d - dt.date(2021, 2, 7)).days % 364
    return n // 7 + 1, min(n // 28 + 1, 12)


CALENDAR: Mapping[str, Callable[[dt.date], object]] = {
    "date_key": lambda d: int(d.strftime("%Y%m%d")),
    "day": lambda d: d,
    "title": lambda d: d.strftime("%A, %B %d, %Y"),
    "year": lambda d: d.year,
    "quarter": lambda d: f"{d.year}-Q{(d.month + 2) // 3}",
    "month": lambda d: d.month,
    "month_name": lambda d: d.strftime("%b"),
    "weekday": lambda d: d.isoweekday() % 7,
    "weekend": lambda d: d.isoweekday() > 5,
    "day_of_year": lambda d: d.timetuple().tm_yday,
    "week": lambda d: d.isocalendar().week,
    "first": lambda d: d.replace(day=1),
    "month_end": lambda d: (d + dt.timedelta(1)).day == 1,
    "fiscal_week": lambda d: fiscal(d)[0],
    "fiscal_year": lambda d: d.year + (d.month > 6),
    "is_holiday": lambda d: (d.month, d.day) in ((1, 1), (12, 25)) or d == dt.date(2022, 4, 18),
    "loaded_by": lambda d: "etl",
}
FACTS: Mapping[str, Callable[[dt.date, np.random.Generator], object]] = {
    "turnover": lambda d, rng: int(rng.integers(100, 900)),
    "members": lambda d, rng: (d - START).days // 2 + int(rng.integers(0, 3)),
    "ill": lambda d, rng: bool(rng.random() < 0.01),
    "mood": lambda d, rng: ("good", "bad")[int(rng.random() < 0.2)],
    "target": lambda d, rng: (d.year * 7919 + d.month * 104729) % 997,
    "days_without_accident": lambda d, rng: ((d - START).days * 7 + 3) % 53,
    "note": lambda d, rng: f"walked {int(rng.integers(2, 15))} km",
}


def days(columns: Mapping[str, Callable[[dt.date], object]], count: int = DAYS) -> pa.Table:
    dates = [START + dt.timedelta(i) for i in range(count)]
    return pa.table({name: [f(d) for d in dates] for name, f in columns.items()})


def test_days_with_what_the_calendar_says_enumerate() -> None:
    assert enumerates(days(CALENDAR), numbers=False)
    assert enumerates(days({k: v for k, v in CALENDAR.items() if k not in ("day", "first")}), numbers=False), "by the key alone"
    shuffled = days(CALENDAR).take(pa.array(np.random.default_rng(1).permutation(DAYS)))
    assert enumerates(shuffled, numbers=False)
    unknown: dict[str, Any] = {n: [v] for n, v in zip(shuffled.column_names, [-1, None, "Unknown", *[None] * 14], strict=True)}
    assert enumerates(pa.concat_tables([shuffled, pa.table(unknown, schema=shuffled.schema)]), numbers=False), "an unknown day beside them"


@pytest.mark.parametrize("fact", FACTS)
@pytest.mark.parametrize("count", [200, DAYS])
def test_what_happened_on_a_day_is_no_calendar(fact: str, count: int) -> None:
    rng = np.random.default_rng(7)
    assert not enumerates(days({**CALENDAR, fact: lambda d: FACTS[fact](d, rng)}, count), numbers=True)


def test_days_with_gaps_do_not_enumerate() -> None:
    assert not enumerates(days(CALENDAR).take(pa.array(np.delete(np.arange(DAYS), [50, 51, 300, 500]))), numbers=True)


def test_times_months_and_numbers_enumerate() -> None:
    minutes = np.arange(1440)
    clock = {
        "minute_key": minutes, "label": [f"{m // 60:02}:{m % 60:02}" for m in minutes], "hour": minutes // 60,
        "half": ["am" if m < 720 else "pm" for m in minutes], "part": ["night" if m // 60 < 6 else "day" for m in minutes],
    }  # fmt: skip
    assert enumerates(pa.table(clock), numbers=False)
    assert not enumerates(pa.table({**clock, "pulse": 60 + minutes // 60 * 37 % 11}), numbers=False)
    months = [dt.date(2019 + i // 12, i % 12 + 1, 1) for i in range(48)]
    assert enumerates(pa.table({"month": months, "name": [m.strftime("%B %Y") for m in months]}), numbers=False)
    assert enumerates(pa.table({"n": np.arange(1, 500), "text": [f"no. {i}" for i in range(1, 500)]}), numbers=True)
    assert not enumerates(pa.table({"id": np.arange(1, 500)}), numbers=False), "these may be customers"


def build(path: Path) -> None:
    rng = np.random.default_rng(3)
    calendar = days(CALENDAR)
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE dim_date (date_key INTEGER PRIMARY KEY, day DATE NOT NULL, title TEXT, year INTEGER, quarter TEXT, month INTEGER, "
            "month_name TEXT, weekday INTEGER, weekend BOOLEAN, day_of_year INTEGER, week INTEGER, first DATE, month_end BOOLEAN, "
            "fiscal_week INTEGER, fiscal_year INTEGER, is_holiday BOOLEAN, loaded_by TEXT)"
        )
        rows = [tuple(map(plain, r.values())) for r in calendar.to_pylist()]
        db.executemany(f"INSERT INTO dim_date VALUES ({', '.join('?' * len(CALENDAR))})", rows)
        db.execute("CREATE TABLE tally (n INTEGER PRIMARY KEY)")
        db.executemany("INSERT INTO tally VALUES (?)", [(i,) for i in range(200)])
        db.execute("CREATE TABLE shop (id INTEGER PRIMARY KEY, area INTEGER NOT NULL, rent INTEGER NOT NULL, rating INTEGER, opened DATE NOT NULL)")
        shops = [(i, *map(int, rng.integers(50, 900, 2)), int(rng.integers(1, 6)), f"20{10 + i % 9}-03-0{1 + i % 7}") for i in range(60)]
        db.executemany("INSERT INTO shop VALUES (?, ?, ?, ?, ?)", shops)
        db.execute(
            "CREATE TABLE sale (id INTEGER PRIMARY KEY, date_key INTEGER NOT NULL REFERENCES dim_date, shop_id INTEGER NOT NULL REFERENCES shop, "
            "amount NUMERIC(8, 2) NOT NULL)"
        )
        n = 0
        for row in calendar.to_pylist():
            for _ in range(0 if row["weekday"] == 0 else int(rng.poisson(14 if row["month"] == 12 else 5))):
                n += 1
                sale = (n, row["date_key"], int(rng.integers(0, 60)), float(rng.integers(100, 9_000)) / 100)
                db.execute("INSERT INTO sale VALUES (?, ?, ?, ?)", sale)
    db.close()


def plain(value: object) -> object:
    return str(value) if isinstance(value, dt.date) else value


@pytest.mark.parametrize(("holdout", "shard_rows", "scale"), [(0.0, 250_000, 1.0), (0.1, 1_000, 2.0)])
def test_a_calendar_is_copied_and_its_days_have_their_sales(tmp_path: Path, holdout: float, shard_rows: int, scale: float) -> None:
    build(tmp_path / "real.db")
    taken = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=holdout)
    fitted = taken.fit(seed=1)
    assert fitted.info["reference_tables"] == ["dim_date", "tally"]
    drawn = sampled(fitted, tmp_path / "sample", SampleRequest(scale=scale, seed=2, shard_rows=shard_rows))
    with sqlite3.connect(tmp_path / "real.db") as db:
        sold = np.array([key for (key,) in db.execute("SELECT date_key FROM sale")])
    db.close()
    copy, calendar = drawn.read("dim_date").sort_by("date_key"), days(CALENDAR)
    assert all(copy.column(c).to_pylist() == calendar.column(c).to_pylist() for c in ("date_key", "title", "fiscal_week", "is_holiday"))
    made = np.asarray(drawn.read("sale").column("date_key"))
    assert len(made) == pytest.approx(scale * len(sold), rel=0.03)
    keys, weekdays = (np.asarray(calendar.column(c)) for c in ("date_key", "weekday"))
    assert not np.isin(made, keys[weekdays == 0]).any(), "nothing is sold on Sundays"
    in_december = [float((k // 100 % 100 == 12).mean()) for k in (sold, made)]
    assert in_december[1] == pytest.approx(in_december[0], abs=0.03)
