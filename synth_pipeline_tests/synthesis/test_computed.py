"""Columns that are computed from others of their row are so in the copy: from computed ones, in percent, by dividing, by time between dates."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np
import pytest

import synth_pipeline as sp
from synth_pipeline.synthesis.relational.engine import RelationalSynthesizer
from synth_pipeline.synthesis.relational.rules.formulas import Quotient, rounded
from synth_pipeline_tests.helpers import copied

DDL = """
CREATE TABLE sale (
  id INTEGER PRIMARY KEY, quantity INTEGER NOT NULL, price NUMERIC(8,2) NOT NULL, gross NUMERIC(10,2) NOT NULL, pct INTEGER NOT NULL,
  discount NUMERIC(10,2) NOT NULL, net NUMERIC(10,2) NOT NULL, rate NUMERIC(4,3) NOT NULL, tax NUMERIC(10,2) NOT NULL,
  total NUMERIC(10,2) NOT NULL, points INTEGER NOT NULL, size TEXT NOT NULL);
CREATE TABLE payslip (
  id INTEGER PRIMARY KEY, base NUMERIC(10,2) NOT NULL, overtime REAL NOT NULL, overtime_rate NUMERIC(10,2) NOT NULL, gross NUMERIC(10,2) NOT NULL,
  tax_rate REAL NOT NULL, tax NUMERIC(10,2) NOT NULL, pension NUMERIC(10,2) NOT NULL, net NUMERIC(10,2) NOT NULL);
CREATE TABLE payment (
  id INTEGER PRIMARY KEY, amount NUMERIC(10,2) NOT NULL, rate NUMERIC(8,4) NOT NULL, amount_eur NUMERIC(10,2) NOT NULL,
  without_vat NUMERIC(10,2) NOT NULL, vat INTEGER NOT NULL, with_vat NUMERIC(10,2) NOT NULL,
  shown INTEGER NOT NULL, clicks INTEGER NOT NULL, click_share NUMERIC(5,2));
CREATE TABLE route (id INTEGER PRIMARY KEY, duration_min INTEGER NOT NULL, km INTEGER NOT NULL, stops INTEGER NOT NULL, tolls NUMERIC(6,2) NOT NULL);
CREATE TABLE trip (
  id INTEGER PRIMARY KEY, route_id INTEGER NOT NULL REFERENCES route (id), departure DATETIME NOT NULL, arrival DATETIME NOT NULL,
  left_at DATETIME, delay_min INTEGER);
CREATE TABLE stay (id INTEGER PRIMARY KEY, first_day DATE NOT NULL, last_day DATE NOT NULL, days INTEGER NOT NULL, opened DATETIME, closed DATETIME,
  hours_open INTEGER);
"""
RULES = {
    "sale.gross = price * quantity", "sale.discount = pct * gross / 100", "sale.net = gross - discount", "sale.tax = rate * net",
    "sale.total = net + tax", "sale.points = 0.1 * total",
    "sale.size is small below 50.00, medium from 50.00, large from 200.00 of total",
    "payslip.tax = tax_rate * gross", "payslip.pension = 0.093 * gross",
    "payslip.net = gross - tax - pension", "payslip.gross = base + overtime * overtime_rate", "payment.amount_eur = amount / rate",
    "payment.with_vat = without_vat * (1 + vat / 100)", "payment.click_share = 100 * clicks / shown",
    "trip.arrival = departure + duration_min of its route, in minutes", "trip.delay_min = left_at - departure, in minutes",
    "stay.days = last_day - first_day + 1, in days", "stay.hours_open = closed - opened, in hours",
}  # fmt: skip
BROKEN = {
    "gross": "SELECT count(*) FROM sale WHERE abs(gross - quantity * price) > 1e-6",
    "discount": "SELECT count(*) FROM sale WHERE half_up(gross * pct / 100.0) <> discount",
    "net": "SELECT count(*) FROM sale WHERE abs(net - (gross - discount)) > 1e-6",
    "tax": "SELECT count(*) FROM sale WHERE half_up(net * rate) <> tax",
    "total": "SELECT count(*) FROM sale WHERE abs(total - (net + tax)) > 1e-6",
    "points": "SELECT count(*) FROM sale WHERE points <> CAST(total / 10 + 1e-9 AS INTEGER)",
    "size": "SELECT count(*) FROM sale WHERE size <> CASE WHEN total < 50 THEN 'small' WHEN total < 200 THEN 'medium' ELSE 'large' END",
    "payslip": "SELECT count(*) FROM payslip WHERE half_up(base + overtime * overtime_rate) <> gross OR half_up(gross * tax_rate) <> tax "
    "OR half_up(gross * 0.093) <> pension OR abs(net - (gross - tax - pension)) > 1e-6",
    "overtime_rate": "SELECT count(*) FROM payslip WHERE abs(overtime_rate - base * 1.5 / 173) > 0.0051",
    "amount_eur": "SELECT count(*) FROM payment WHERE abs(amount_eur - amount / rate) > 0.0051",
    "with_vat": "SELECT count(*) FROM payment WHERE half_up(without_vat * (100 + vat) / 100.0) <> with_vat",
    "click_share": "SELECT count(*) FROM payment WHERE (shown = 0) <> (click_share IS NULL) OR abs(click_share - 100.0 * clicks / shown) > 0.0051",
    "arrival": "SELECT count(*) FROM trip t JOIN route r ON r.id = route_id WHERE unixepoch(arrival) <> unixepoch(departure) + 60 * duration_min",
    "delay": "SELECT count(*) FROM trip WHERE (left_at IS NULL) <> (delay_min IS NULL) "
    "OR 60 * delay_min <> unixepoch(left_at) - unixepoch(departure)",
    "days": "SELECT count(*) FROM stay WHERE days <> julianday(last_day) - julianday(first_day) + 1",
    "hours_open": "SELECT count(*) FROM stay WHERE (closed IS NULL OR opened IS NULL) <> (hours_open IS NULL) "
    "OR hours_open <> (unixepoch(closed) - unixepoch(opened)) / 3600",
}


def half_up(value: float) -> float:
    return float(Decimal(repr(round(value, 7))).quantize(Decimal("0.01"), ROUND_HALF_UP))


def moment(minutes: float) -> str:
    return str(np.datetime64("2023-01-01T00:00:00") + np.timedelta64(round(minutes * 60), "s")).replace("T", " ")


def opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path)
    db.create_function("half_up", 1, half_up)
    return db


def rows(seed: int, count: int) -> Iterable[tuple[str, tuple[object, ...]]]:
    rng = np.random.default_rng(seed)
    routes = [(i, 5 * int(rng.integers(6, 90)), int(rng.integers(20, 900)), int(rng.integers(0, 5)), round(rng.uniform(0, 50), 2)) for i in range(80)]
    yield from (("route", r) for r in routes)
    for i in range(1, count + 1):
        quantity, price = int(rng.integers(1, 6)), round(rng.uniform(1, 90), 2)
        pct, rate = int(rng.choice([0, 5, 10, 15])), float(rng.choice([0.05, 0.19]))
        gross = round(quantity * price, 2)
        discount = half_up(gross * pct / 100)
        net = round(gross - discount, 2)
        tax = half_up(net * rate)
        total = round(net + tax, 2)
        size = "small" if total < 50 else "medium" if total < 200 else "large"
        yield "sale", (i, quantity, price, gross, pct, discount, net, rate, tax, total, int(total / 10 + 1e-9), size)
        base, overtime = 10.0 * int(rng.integers(180, 900)), float(rng.choice([0, 0.5, 1, 2, 3.5, 8]))
        tax_rate = float(rng.choice([0.14, 0.24, 0.33]))
        overtime_rate = half_up(base * 1.5 / 173)
        gross = half_up(base + overtime * overtime_rate)
        tax, pension = half_up(gross * tax_rate), half_up(gross * 0.093)
        yield "payslip", (i, base, overtime, overtime_rate, gross, tax_rate, tax, pension, round(gross - tax - pension, 2))
        amount, rate = round(rng.gamma(2, 300) + 20, 2), round(rng.uniform(1.05, 4.5), 4)
        without, vat = round(rng.gamma(2, 90) + 3, 2), int(rng.choice([7, 19]))
        shown = int(rng.choice([0, 1], p=[0.1, 0.9]) * rng.integers(1, 5000))
        clicks = int(rng.binomial(shown, 0.04))
        share = half_up(100 * clicks / shown) if shown else None
        yield "payment", (i, amount, rate, half_up(amount / rate), without, vat, half_up(without * (100 + vat) / 100), shown, clicks, share)
        route = routes[int(rng.integers(0, 80))]
        start, late = 5 * int(rng.integers(0, 200_000)), None if rng.random() < 0.1 else int(rng.exponential(20))
        yield "trip", (i, route[0], moment(start), moment(start + route[1]), None if late is None else moment(start + late), late)
        first, length = int(rng.integers(0, 700)), int(rng.integers(1, 30))
        begin = None if rng.random() < 0.1 else 0.5 * int(rng.integers(0, 900_000))
        end = None if begin is None or rng.random() < 0.2 else begin + 0.5 * int(rng.integers(1, 9000))
        days = [str(np.datetime64("2023-01-01") + d) for d in (first, first + length - 1)]
        spans = None if begin is None else moment(begin), None if end is None else moment(end)
        yield "stay", (i, *days, length, *spans, None if begin is None or end is None else int((end - begin) // 60))


def build(path: Path, seed: int, count: int) -> None:
    db = opened(path)
    db.executescript(DDL)
    for table, row in rows(seed, count):
        db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
    db.commit()
    db.close()


def broken(path: Path) -> dict[str, int]:
    db = opened(path)
    found = {name: int(db.execute(sql).fetchone()[0]) for name, sql in BROKEN.items()}
    db.close()
    return {name: count for name, count in found.items() if count}


def test_what_is_computed_in_the_source_is_computed_in_the_copy(tmp_path: Path) -> None:
    build(tmp_path / "real.db", 3, 800)
    assert not broken(tmp_path / "real.db")
    taken = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=0.0)
    fitted = taken.fit(seed=1, workers=1)
    rules = set(fitted.info["rules"])
    assert rules >= RULES, RULES - rules
    assert any(r.startswith("payslip.overtime_rate = 0.00867") for r in rules)
    (tmp_path / "fitted").mkdir()
    fitted.made.save(tmp_path / "fitted")
    loaded = replace(fitted, made=RelationalSynthesizer().load(tmp_path / "fitted"))
    for shard_rows in (250_000, 1_500):
        assert not broken(copied(loaded, tmp_path / str(shard_rows), shard_rows)), shard_rows


def test_a_rule_needs_support(tmp_path: Path) -> None:
    build(tmp_path / "few.db", 4, 15)
    fitted = sp.open(f"sqlite:///{tmp_path}/few.db").metadata().subset(holdout=0.0).fit(seed=1, workers=1)
    assert not RULES & set(fitted.info["rules"])


def test_of_two_numbers_that_vary_alike_the_larger_one_is_computed(tmp_path: Path) -> None:
    """A place on one strand and its counterpart on another, equally long: a start that is computed would lie before the strand's own."""
    rng = np.random.default_rng(5)
    with closing(sqlite3.connect(tmp_path / "real.db")) as db, db:
        db.execute("""CREATE TABLE aligned (id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,
            other_first INTEGER NOT NULL, other_last INTEGER NOT NULL)""")
        firsts, others = rng.geometric(1e-3, 900), rng.geometric(2e-2, 900)
        lengths = rng.integers(1, 60, 900) + np.maximum(0, 30 - firsts // 100)  # the starts vary a little more than the ends
        made = zip(firsts, firsts + lengths, others, others + lengths, strict=True)
        db.executemany("INSERT INTO aligned (first, last, other_first, other_last) VALUES (?, ?, ?, ?)", [tuple(map(int, row)) for row in made])
    fitted = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=0.0).fit(seed=1, workers=1)
    assert any(rule.startswith("aligned.last = ") for rule in fitted.info["rules"]), fitted.info["rules"]
    with closing(sqlite3.connect(copied(fitted, tmp_path / "copy", 250_000))) as db:
        assert db.execute("SELECT min(first) > 0, max(last - first <> other_last - other_first) FROM aligned").fetchone() == (1, 0)


@pytest.mark.parametrize(("how", "expected"), [("even", [2, 2, 4]), ("up", [2, 3, 4]), ("down", [1, 2, 3])])
def test_halves_are_rounded_as_the_column_does(how: str, expected: list[int]) -> None:
    assert rounded(np.array([0.0151, 0.025, 0.035]), 0.01, how).tolist() == expected  # type: ignore[arg-type]


def test_nothing_is_divided_by_zero() -> None:
    values = {"a": np.array([6.0, 1.0, 0.0]), "b": np.array([4.0, 0.0, 0.0])}
    assert np.array_equal(Quotient("a", "b").apply(values), [1.5, np.nan, np.nan], equal_nan=True)
    assert Quotient("a", "b", otherwise=0.0).apply(values).tolist() == [1.5, 0, 0]
