"""Histories: periods that follow each other without a gap until today, two of one person together, and a date that stands for no end."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import synth_pipeline as sp
from synth_pipeline import pipeline
from synth_pipeline.config import SampleConfig
from synth_pipeline.synthesis.relational.encode import NumberCodec

TODAY = date(2024, 6, 30)
NEVER = date(9999, 12, 31)


def build(path: Path, people: int, seed: int) -> None:
    """People with a wage a year from some day after they came until today, or until they left, and one to three posts in that time."""
    rng = np.random.default_rng(seed)
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE person (id INTEGER PRIMARY KEY, hired DATE NOT NULL)")
        db.execute(
            "CREATE TABLE wage (person INTEGER NOT NULL REFERENCES person (id), amount INTEGER NOT NULL, "
            "valid_from DATE NOT NULL, valid_to DATE NOT NULL, PRIMARY KEY (person, valid_from))"
        )
        db.execute(
            "CREATE TABLE post (person INTEGER NOT NULL REFERENCES person (id), name VARCHAR(10) NOT NULL, "
            "since DATE NOT NULL, until DATE NOT NULL, PRIMARY KEY (person, since))"
        )
        for i in range(people):
            hired = TODAY - timedelta(days=int(rng.integers(400, 7000)))
            start = hired + timedelta(days=int(rng.integers(0, (TODAY - hired).days - 30)))
            left = start + timedelta(days=int(rng.integers(30, 4000))) if rng.random() < 0.3 else NEVER
            left = left if left < TODAY else NEVER
            db.execute("INSERT INTO person VALUES (?, ?)", (i, hired.isoformat()))
            days = (min(TODAY, left) - start).days
            changes = [start + timedelta(days=int(d)) for d in sorted({0, *rng.integers(1, max(2, days), int(rng.integers(0, 3))).tolist()})]
            for since, until in zip(changes, [*changes[1:], left], strict=True):
                db.execute("INSERT INTO post VALUES (?, ?, ?, ?)", (i, str(rng.choice(("clerk", "chief"))), since.isoformat(), until.isoformat()))
            while start <= min(TODAY, left):
                end = start + timedelta(days=365)
                after = end if end <= min(TODAY, left) else left
                db.execute("INSERT INTO wage VALUES (?, ?, ?, ?)", (i, int(rng.normal(4000, 900)), start.isoformat(), after.isoformat()))
                start = end
    db.close()


def periods(path: Path) -> dict[str, float]:
    with sqlite3.connect(path) as db:

        def one(sql: str) -> float:
            return float(db.execute(sql).fetchone()[0] or 0)

        after = "LEAD(valid_from) OVER (PARTITION BY person ORDER BY valid_from)"
        pairs = f"SELECT valid_to, {after} AS following, julianday({after}) - julianday(valid_from) AS step FROM wage"
        found = {
            "backwards": one("SELECT count(*) FROM wage WHERE valid_to < valid_from"),
            "too early": one("SELECT count(*) FROM wage JOIN person ON id = person WHERE valid_from < hired"),
            "gaps": one(f"SELECT count(*) FROM ({pairs}) WHERE following IS NOT NULL AND following <> valid_to"),
            "yearly": one(f"SELECT avg(step = 365) FROM ({pairs}) WHERE step IS NOT NULL"),
            "never": one("SELECT avg(m) FROM (SELECT max(valid_to) = '9999-12-31' AS m FROM wage GROUP BY person)"),
            "backwards posts": one("SELECT count(*) FROM post WHERE until < since"),
            "begin together": one(
                "SELECT avg(a = b) FROM (SELECT min(valid_from) AS a, person FROM wage GROUP BY 2) "
                "JOIN (SELECT min(since) AS b, person FROM post GROUP BY 2) USING (person)"
            ),
            "end together": one(
                "SELECT avg(a = b) FROM (SELECT max(valid_to) AS a, person FROM wage GROUP BY 2) "
                "JOIN (SELECT max(until) AS b, person FROM post GROUP BY 2) USING (person)"
            ),
            "stray": one("SELECT count(*) FROM wage WHERE valid_to > '2024-07-01' AND valid_to <> '9999-12-31'"),
            "current": one(
                "SELECT avg(julianday('2024-06-30') - l) FROM (SELECT max(julianday(valid_from)) AS l, max(valid_to) AS t FROM wage GROUP BY person) "
                "WHERE t = '9999-12-31'"
            ),
        }
    db.close()
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, float], dict[str, float], list[str]]:
    folder = tmp_path_factory.mktemp("histories")
    build(folder / "real.db", 1000, 3)
    fitted = sp.open(f"sqlite:///{folder}/real.db").metadata().subset(holdout=0.0).fit(seed=1)
    fitted.sample(seed=2).export(f"sqlite:///{folder}/synthetic.db")
    return periods(folder / "real.db"), periods(folder / "synthetic.db"), fitted.info["rules"]


def test_periods_follow_each_other_and_none_runs_backwards(both: tuple[dict[str, float], dict[str, float], list[str]]) -> None:
    real, made, rules = both
    assert real["backwards"] == real["gaps"] == real["too early"] == real["stray"] == 0 and real["yearly"] == 1
    assert made["backwards"] == made["gaps"] == made["too early"] == made["stray"] == 0
    assert "wage.valid_to = valid_from of the next row of the same parent" in rules
    assert "wage.valid_to ≥ valid_from" in rules


def test_what_goes_on_until_today_is_told_from_its_last_period_back(both: tuple[dict[str, float], dict[str, float], list[str]]) -> None:
    real, made, _ = both
    assert made["yearly"] > 0.97  # nobody has more wages than there were years since
    assert made["never"] == pytest.approx(real["never"], abs=0.05)
    assert made["current"] == pytest.approx(real["current"], abs=40)


def test_two_histories_of_a_person_begin_and_end_together(both: tuple[dict[str, float], dict[str, float], list[str]]) -> None:
    real, made, rules = both
    assert real["begin together"] == real["end together"] == 1
    assert made["begin together"] == 1 and made["backwards posts"] == 0
    assert made["end together"] >= 0.998  # two posts of somebody who stayed for a day
    assert "post.since of the first row of a parent = the first valid_from of its wage" in rules
    assert "post.until of the last row of a parent = the last valid_to of its wage" in rules


def test_they_do_so_in_every_shard(tmp_path: Path) -> None:
    build(tmp_path / "real.db", 400, 5)
    taken = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=0.0)
    fitted = taken.fit(seed=1, workers=1)
    config = fitted.config.model_copy(update={"sample": SampleConfig(scale=3, seed=4, shard_rows=3_000)})
    rows = pipeline.sample(config, taken.described.working, taken.made, fitted.made, tmp_path / "made")
    wage, post = (rows.read(t).to_pandas() for t in ("wage", "post"))
    assert rows.tables["wage"].rows > 5_000
    first, last = wage.groupby("person").valid_from.min(), wage.groupby("person").valid_to.max()
    assert (post.groupby("person").since.min() == first.reindex(post.person.unique()).sort_index()).all()
    assert (post.groupby("person").until.max() == last.reindex(post.person.unique()).sort_index()).all()


def test_a_date_far_off_all_others_stands_for_none() -> None:
    days = [date(2020, 1, 1) + timedelta(days=7 * i) for i in range(50)]
    codec = NumberCodec.fit(pa.chunked_array([pa.array([*days, *[NEVER] * 12])]))
    assert codec is not None and codec.never is not None
    x = codec.encode(pa.array([*days[:3], NEVER]))
    assert np.isnan(x).tolist() == [False, False, False, True]
    assert codec.decode(x).to_pylist() == [*days[:3], NEVER]
    assert codec.high < codec.never


@pytest.mark.parametrize(
    "values",
    [
        [*[date(2020, 1, 1) + timedelta(days=i) for i in range(60)], *[NEVER] * 3],  # too seldom
        [*[date(1900 + i, 1, 1) for i in range(60)], *[date(1990, 1, 1)] * 20],  # among the others
        [*[date(2020, 1, 1) + timedelta(days=i) for i in range(60)], *[NEVER] * 20, None],  # NULL says it already
    ],
)
def test_other_dates_are_dates(values: list[date | None]) -> None:
    codec = NumberCodec.fit(pa.chunked_array([pa.array(values)]))
    assert codec is not None and codec.never is None
