"""Columns that are a part of a date of their row, or follow from one, in whole databases."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

import synth_pipeline as sp
from synth_pipeline.notebook import Taken
from synth_pipeline.synthesis.base import SampleRequest
from synth_pipeline_tests.helpers import broken_in, sampled

BROKEN = {
    "date_key": "SELECT count(*) FROM sale WHERE date_key IS NOT CAST(strftime('%Y%m%d', sold) AS INT)",
    "sold_on": "SELECT count(*) FROM sale WHERE date(sold_on) IS NOT date(sold)",
    "year": "SELECT count(*) FROM sale WHERE year IS NOT CAST(strftime('%Y', sold) AS INT)",
    "quarter": "SELECT count(*) FROM sale WHERE quarter IS NOT (CAST(strftime('%m', sold) AS INT) + 2) / 3",
    "month": "SELECT count(*) FROM sale WHERE month IS NOT substr('JanFebMarAprMayJunJulAugSepOctNovDec', strftime('%m', sold) * 3 - 2, 3)",
    "weekday": "SELECT count(*) FROM sale WHERE weekday IS NOT CAST(strftime('%w', sold) AS INT)",
    "weekend": "SELECT count(*) FROM sale WHERE weekend IS NOT (strftime('%w', sold) IN ('0', '6'))",
    "hour": "SELECT count(*) FROM sale WHERE hour IS NOT CAST(strftime('%H', sold) AS INT)",
    "period": "SELECT count(*) FROM sale WHERE period IS NOT strftime('%Y-%m', sold)",
}


def build(path: Path) -> None:
    rng = np.random.default_rng(4)
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE customer (id INTEGER PRIMARY KEY, since DATE NOT NULL)")
        db.execute(
            "CREATE TABLE sale (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer, date_key INTEGER, sold_on DATE, "
            "year INTEGER, quarter INTEGER, month TEXT, weekday INTEGER, weekend BOOLEAN, hour INTEGER, period TEXT, sold DATETIME, "
            "late BOOLEAN NOT NULL, floor INTEGER NOT NULL)"
        )
        months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
        n = 0
        for c in range(150):
            since = np.datetime64("2021-01-01") + int(rng.integers(0, 700))
            db.execute("INSERT INTO customer VALUES (?, ?)", (c, str(since)))
            for _ in range(int(rng.poisson(9))):
                n += 1
                rest = (int(rng.random() < 0.3), int(rng.integers(1, 13)))
                if rng.random() < 0.1:
                    db.execute(f"INSERT INTO sale VALUES (?, ?, {', '.join(['NULL'] * 10)}, ?, ?)", (n, c, *rest))
                    continue
                day = (since + int(rng.integers(0, 900))).astype("datetime64[s]").item()
                t = day.replace(hour=int(rng.integers(8, 20)), minute=int(rng.integers(0, 60)))
                parts = (
                    int(t.strftime("%Y%m%d")), str(t.date()), t.year, (t.month + 2) // 3, months[t.month - 1], t.isoweekday() % 7,
                    t.isoweekday() > 5, t.hour, t.strftime("%Y-%m"),
                )  # fmt: skip
                db.execute(f"INSERT INTO sale VALUES (?, ?, {', '.join('?' * 12)})", (n, c, *parts, str(t), *rest))
    db.close()


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Taken:
    path = tmp_path_factory.mktemp("real") / "real.db"
    build(path)
    assert not broken_in(path, BROKEN)
    return sp.open(f"sqlite:///{path}").metadata().subset(holdout=0.0)


@pytest.mark.parametrize("shard_rows", [250_000, 500])
def test_parts_follow_from_the_date_of_their_row(tmp_path: Path, taken: Taken, shard_rows: int) -> None:
    fitted = taken.fit(seed=1)
    rules = set(fitted.info["rules"])
    assert {"sale.date_key is the date of sold", "sale.month follows from the month of sold", "sale.hour is the hour of sold"} <= rules
    assert not [r for r in rules if r.startswith(("sale.late", "sale.floor"))], rules
    drawn = sampled(fitted, tmp_path / "sample", SampleRequest(seed=2, shard_rows=shard_rows))
    with sqlite3.connect(tmp_path / "synthetic.db") as db:
        drawn.read("sale").to_pandas().to_sql("sale", db, index=False)
    db.close()
    assert not broken_in(tmp_path / "synthetic.db", BROKEN), broken_in(tmp_path / "synthetic.db", BROKEN)
    assert drawn.read("sale").column("sold").null_count > 0
