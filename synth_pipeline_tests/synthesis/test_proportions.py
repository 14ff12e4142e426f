"""Numbers that are so many times another one, prices with discounts, and branches that share a region but no town."""

from __future__ import annotations

import sqlite3

import numpy as np
import pandas as pd
import pytest

import synth_pipeline as sp


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame], list[str]]:
    """120 articles, 700 shops in regions of 12 towns each, and sales at the article's price or with 10, 20 or 50 % off."""
    path = tmp_path_factory.mktemp("proportions") / "real.db"
    rng = np.random.default_rng(6)
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE article (id INTEGER PRIMARY KEY, price NUMERIC(8, 2) NOT NULL)")
        db.execute("CREATE TABLE owner (id INTEGER PRIMARY KEY, founded DATE NOT NULL)")
        owned = "owner_id INTEGER NOT NULL REFERENCES owner (id)"
        db.execute(f"CREATE TABLE shop (id INTEGER PRIMARY KEY, {owned}, town TEXT NOT NULL, region TEXT NOT NULL)")
        db.execute(
            "CREATE TABLE sale (id INTEGER PRIMARY KEY, article_id INTEGER NOT NULL REFERENCES article (id), "
            "shop_id INTEGER NOT NULL REFERENCES shop (id), price NUMERIC(8, 2) NOT NULL, seconds INTEGER NOT NULL, bytes INTEGER NOT NULL)"
        )
        prices = np.round(rng.lognormal(3, 0.8, 120) * 2, 0) / 2 + 0.5
        db.executemany("INSERT INTO article VALUES (?, ?)", [(i, float(p)) for i, p in enumerate(prices)])
        db.executemany("INSERT INTO owner VALUES (?, ?)", [(i, f"{1990 + i % 30}-0{1 + i % 9}-11") for i in range(200)])
        homes = rng.integers(0, 6, 200)
        for i in range(700):
            owner = i % 200
            region = homes[owner] if rng.random() < 0.9 else rng.integers(0, 6)
            db.execute("INSERT INTO shop VALUES (?, ?, ?, ?)", (i, owner, f"Town {region}-{rng.integers(0, 12)}", f"Region {region}"))
        for i in range(3000):
            article = int(rng.integers(0, 120))
            price = round(float(prices[article]) * float(rng.choice((1, 0.9, 0.8, 0.5), p=[0.7, 0.1, 0.1, 0.1])), 2)
            seconds = int(rng.lognormal(5, 1)) + 5
            rate = 2000 if article % 2 else 5000
            size = int(seconds * rate * rng.normal(1, 0.02))
            db.execute("INSERT INTO sale VALUES (?, ?, ?, ?, ?, ?)", (i, article, int(rng.integers(0, 700)), price, seconds, size))
    db.close()
    fitted = sp.open(f"sqlite:///{path}").metadata().subset(holdout=0.0).fit(seed=1, workers=1)
    made = fitted.sample(seed=2)
    with sqlite3.connect(path) as db:
        real = {t: pd.read_sql_query(f"SELECT * FROM {t}", db) for t in ("article", "shop", "sale")}
    db.close()
    return real, {t: made[t] for t in real}, fitted.info["rules"]


def test_a_price_is_that_of_the_article_or_a_discount_of_it(both: tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame], list[str]]) -> None:
    real, made, rules = both
    shares = []
    for tables in (real, made):
        sale = tables["sale"].merge(tables["article"], left_on="article_id", right_on="id", suffixes=("", "_list"))
        ratio = (sale.price.astype(float) / sale.price_list.astype(float)).round(2)
        shares.append(ratio.value_counts(normalize=True).reindex([1.0, 0.9, 0.8, 0.5]).fillna(0))
    assert shares[0].sum() > 0.99 and shares[1].sum() > 0.97
    assert (shares[0] - shares[1]).abs().max() < 0.03
    assert "sale.price is 0.5 to 1 times price of its article" in rules


def test_prices_end_as_real_ones_do(both: tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame], list[str]]) -> None:
    real, made, _ = both
    assert (real["article"].price.astype(float) * 2 % 1 == 0).all()
    assert (made["article"].price.astype(float) * 2 % 1 == 0).mean() > 0.9


def test_what_is_in_proportion_stays_so(both: tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame], list[str]]) -> None:
    real, made, rules = both
    rates = [t["sale"].bytes.astype(float) / t["sale"].seconds.astype(float) for t in (real, made)]
    for rate in rates:
        assert (rate.between(1800, 2200) | rate.between(4500, 5500)).mean() > 0.98
    assert rates[1].between(1800, 2200).mean() == pytest.approx(rates[0].between(1800, 2200).mean(), abs=0.03)
    assert any(r.startswith("sale.bytes is ") and r.endswith(" times seconds") for r in rules)


def test_shops_of_an_owner_share_the_region_but_not_the_town(both: tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame], list[str]]) -> None:
    real, made, rules = both

    def alike(shop: pd.DataFrame, column: str) -> float:
        pairs = shop.merge(shop, on="owner_id").query("id_x < id_y")
        return float((pairs[f"{column}_x"] == pairs[f"{column}_y"]).mean())

    for column in ("region", "town"):
        assert alike(made["shop"], column) == pytest.approx(alike(real["shop"], column), abs=0.12)
    assert "shop.town determines region" in rules
    assert (made["shop"].region == "Region " + made["shop"].town.str[5]).all()
    assert (real["shop"].region.value_counts(normalize=True) - made["shop"].region.value_counts(normalize=True)).abs().max() < 0.08
