"""The strict level: nothing that few have, and nobody whom a synthetic row comes nearer to than people come to each other."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import synth_pipeline as sp
from synth_pipeline.synthesis.relational.nearness import Nearness, keep_away
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.suppress import without_ends, without_rare

JOBS = ("clerk", "smith", "baker", "nurse")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A census of 2,000 with a queen, three astronauts, and a few very rich and very old."""
    path = tmp_path_factory.mktemp("strict") / "real.db"
    rng = np.random.default_rng(4)
    jobs = [*["queen"], *["astronaut"] * 3, *rng.choice(JOBS, 1996, p=[0.4, 0.3, 0.2, 0.1])]
    with sqlite3.connect(path) as db:
        columns = "job TEXT NOT NULL, town TEXT NOT NULL, age INTEGER NOT NULL, income INTEGER NOT NULL"
        db.execute(f"CREATE TABLE person (id INTEGER PRIMARY KEY, {columns})")
        for i, job in enumerate(jobs):
            age = int(rng.integers(18, 80)) if i > 6 else 100 + i * i
            income = int(rng.lognormal(10, 0.4)) if i > 4 else 5_000_000 * (i + 1) + 1_009 * i * i
            db.execute("INSERT INTO person VALUES (?, ?, ?, ?, ?)", (i, str(job), str(rng.choice(("N", "S", "E", "W"))), age, income))
    db.close()
    return path


def drawn(path: Path, level: Literal["standard", "strict"]) -> pd.DataFrame:
    return sp.open(f"sqlite:///{path}").metadata().subset(holdout=0.0).fit(seed=1, privacy=level, workers=1).sample(seed=2)["person"]


def test_rare_categories_and_extremes_do_not_come_out(real: Path) -> None:
    strict, plain = drawn(real, "strict"), drawn(real, "standard")
    with sqlite3.connect(real) as db:
        source = pd.read_sql_query("SELECT * FROM person", db)
    db.close()
    assert {"queen", "astronaut"} <= set(plain.job) and set(strict.job) == set(JOBS)
    assert plain.income.max() > 1_000_000
    for column in ("income", "age"):
        highest = source[column].nlargest(5)
        assert strict[column].max() <= highest.mean() and not strict[column].isin(highest).any()
    # What takes the place of the few is shared out, so that nothing else changes much.
    share = source.job.value_counts(normalize=True)
    assert (strict.job.value_counts(normalize=True) - share.reindex(JOBS)).abs().max() < 0.03


def test_places_and_codes_of_few_keep_their_rows_under_another_name(tmp_path: Path) -> None:
    """Every shop has a postal code and a licence of its own, which no other one could stand for."""
    rng = np.random.default_rng(5)
    towns = {
        "Norway": ["Bergen"], "Chile": ["Valparaiso"], "France": ["Lyon", "Nantes", "Lille", "Dijon", "Rennes", "Amiens", "Metz", "Caen"],
        "Spain": ["Bilbao", "Cadiz", "Leon", "Murcia", "Vigo", "Burgos"], "Italy": ["Bari", "Parma", "Siena", "Turin", "Genoa", "Udine", "Lucca"],
    }  # fmt: skip
    countries = ["Norway", "Chile", *rng.choice(("France", "Spain", "Italy"), 198, p=(0.5, 0.2, 0.3)).tolist()]
    licences = rng.choice(90_000, 200, replace=False) + 10_000
    cities = [towns[c][min(int(rng.exponential(2)), len(towns[c]) - 1)] for c in countries]
    shops = [(i, f"{10_000 + 37 * i}", cities[i], countries[i], f"LC-{licences[i]}-X") for i in range(200)]
    sales = [(200 * k + i, i, shops[i][4], int(rng.integers(1, 900))) for i in range(200) for k in range(4)]
    with sqlite3.connect(tmp_path / "real.db") as db:
        columns = "postal_code TEXT NOT NULL, city VARCHAR(20) NOT NULL, country VARCHAR(20) NOT NULL, licence TEXT NOT NULL"
        db.execute(f"CREATE TABLE shop (id INTEGER PRIMARY KEY, {columns})")
        db.execute("CREATE TABLE sale (id INTEGER PRIMARY KEY, shop_id INTEGER NOT NULL REFERENCES shop (id), till TEXT NOT NULL, amount INTEGER)")
        db.executemany("INSERT INTO shop VALUES (?, ?, ?, ?, ?)", shops)
        db.executemany("INSERT INTO sale VALUES (?, ?, ?, ?)", sales)
    db.close()
    made = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=0.0).fit(seed=1, privacy="strict", workers=1).sample(seed=2)
    shop, sale = made["shop"], made["sale"]
    assert not {s[1] for s in shops} & set(shop.postal_code) and not {s[4] for s in shops} & set(sale.till)
    common = {c for c in set(countries) if sum(s[3] == c for s in shops) >= 5}
    assert common == set(shop.country) & set(countries) and "Norway" not in set(shop.country) and shop.country.nunique() > len(common)
    assert (shop.groupby("city").country.nunique() == 1).all() and shop.city.str.len().max() <= 20
    rare = {c for c in cities if cities.count(c) < 5}
    assert {"Bergen", "Valparaiso"} <= rare and not rare & set(shop.city) and shop.city.nunique() > len(set(cities) - rare)


def test_rows_keep_away_from_those_who_are_alone_in_their_cell(real: Path) -> None:
    with sqlite3.connect(real) as db:
        source = pd.read_sql_query("SELECT * FROM person", db)
    db.close()

    def alone(rows: pd.DataFrame) -> float:
        """The share of the rows in a cell of 32 parts of age and income each in which there is one real person."""
        edges = {c: np.quantile(source[c], np.linspace(0, 1, 33)[1:-1]) for c in ("age", "income")}

        def cells(frame: pd.DataFrame) -> pd.Series:
            return pd.Series(list(zip(frame.job, frame.town, *(np.searchsorted(edges[c], frame[c], "right") for c in edges), strict=True)))

        count = cells(source).value_counts()
        return float(cells(rows).map(count).eq(1).mean())

    assert alone(drawn(real, "strict")) < 0.5 * alone(drawn(real, "standard"))


def test_an_exchange_takes_rows_out_of_lonely_cells_and_keeps_all_values() -> None:
    rng = stream(0, "nearness")
    x = {"a": rng.integers(0, 6, 600).astype(float), "b": rng.integers(0, 6, 600).astype(float), "c": rng.integers(0, 3, 600).astype(float)}
    arrays = {c: pa.array(v) for c, v in x.items()}
    none = np.empty(0)
    every = Nearness(("a", "b", "c"), (none, none, none), np.empty(0, dtype=np.uint64), ("a", "b", "c"))
    assert not every.near(x).any()
    lonely = Nearness(every.columns, every.edges, np.unique(every.cells_of(x))[::9], every.free)
    before = {c: np.sort(v) for c, v in x.items()}
    assert 20 < lonely.near(x).sum()
    assert keep_away(lonely, x, arrays, rng) == 0 == lonely.near(x).sum()
    for column, values in x.items():
        assert np.array_equal(np.sort(values), before[column]) and np.array_equal(arrays[column].to_numpy(), values)


def test_an_entity_has_the_same_instead_on_all_of_its_rows() -> None:
    x = np.array([0, 0, 1, 1, 2, 2, 2, 3, 3, np.nan], dtype=float)
    entities = np.array([0, 1, 2, 3, 4, 4, 4, 5, 6, 7])
    out = without_rare(x, 4, entities, 2)
    assert len(set(out[4:7])) == 1 and out[4] != 2 and np.isnan(out[9])
    assert np.array_equal(out[[0, 1, 2, 3, 7, 8]], x[[0, 1, 2, 3, 7, 8]])
    assert without_rare(x, 4, entities, 9) is x  # all are rare: nothing could take their place


def test_ends_are_where_enough_entities_are() -> None:
    x = np.r_[np.arange(100.0), 500, 900, np.nan]
    entities = np.r_[np.arange(100), 7, 8, 9]
    out = without_ends(x, np.arange(103), entities, 3)
    assert np.nanmax(out) == np.mean([99, 500, 900]) and np.nanmin(out) == 1 and np.isnan(out[-1])
    assert (out == 1).sum() == 3 and np.array_equal(out[3:99], x[3:99])
    few = without_ends(x, np.arange(4), entities, 3)
    assert few is x
