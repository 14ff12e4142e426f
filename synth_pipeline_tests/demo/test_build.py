"""The demo is deterministic, of the promised size, and keeps every rule that its documentation claims."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from synth_pipeline import demo
from synth_pipeline.errors import SourceError

TABLES = ("client", "location", "account", "invoice", "payment")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("demo") / "telecom.db"
    demo.build(made)
    return made


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        yield connection


def content(path: Path) -> str:
    digest = hashlib.sha256()
    with closing(sqlite3.connect(path)) as connection:
        for line in connection.iterdump():
            digest.update(line.encode())
    return digest.hexdigest()


def test_it_has_231_000_rows_and_no_dangling_key(database: sqlite3.Connection) -> None:
    rows = {t: database.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in TABLES}
    assert rows == {"client": 4_000, "location": 5_000, "account": 6_000, "invoice": 108_000, "payment": 108_000}
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(path: Path, tmp_path: Path) -> None:
    demo.build(tmp_path / "again.db")
    demo.build(tmp_path / "other.db", seed=1)
    assert content(tmp_path / "again.db") == content(path)
    assert content(tmp_path / "other.db") != content(path)


@pytest.mark.parametrize(
    "broken",
    [
        "SELECT count(*) FROM invoice WHERE abs(total - (base_fee + usage_charge - discount + tax)) > 0.001",
        "SELECT count(*) FROM invoice WHERE abs(tax - round((base_fee + usage_charge - discount) * 0.2, 2)) > 0.0051",
        "SELECT count(*) FROM invoice WHERE total NOT BETWEEN 1 AND 1000",
        "SELECT count(*) FROM invoice i JOIN account a USING (account_id) WHERE i.base_fee <> a.monthly_fee",
        "SELECT count(*) FROM invoice i JOIN account a USING (account_id) WHERE CAST(strftime('%d', i.issued_on) AS INTEGER) <> a.billing_day",
        "SELECT count(*) FROM invoice i JOIN account a USING (account_id) WHERE strftime('%Y-%m', i.issued_on) <= strftime('%Y-%m', a.opened_on)",
        "SELECT count(*) FROM invoice i JOIN account a USING (account_id) WHERE a.closed_on < i.issued_on",
        "SELECT count(*) FROM invoice WHERE julianday(due_on) - julianday(issued_on) <> 14",
        "SELECT count(*) FROM payment p JOIN invoice i USING (invoice_id) WHERE p.amount <> i.total",
        "SELECT count(*) FROM payment p JOIN invoice i USING (invoice_id) WHERE date(p.paid_at) < i.issued_on",
        "SELECT count(*) FROM payment p JOIN invoice i USING (invoice_id) WHERE (p.status = 'late') <> (date(p.paid_at) > i.due_on)",
        "SELECT count(*) FROM account a JOIN client c USING (client_id) WHERE a.opened_on < c.registered_on",
        "SELECT count(*) FROM account WHERE (closed_on IS NULL) <> (status = 'active')",
        "SELECT count(*) FROM (SELECT \"plan\" FROM account GROUP BY \"plan\" HAVING count(DISTINCT monthly_fee) > 1)",
        "SELECT count(*) FROM invoice i JOIN account a USING (account_id) WHERE (i.data_mb IS NULL) <> (a.data_limit_gb IS NULL)",
        "SELECT count(*) FROM invoice WHERE issued_on NOT BETWEEN '2013-12-01' AND '2017-05-31'",
        "SELECT count(*) FROM payment WHERE date(paid_at) > '2017-05-31'",
    ],
)  # fmt: skip
def test_each_planted_rule_holds_without_exception(database: sqlite3.Connection, broken: str) -> None:
    assert database.execute(broken).fetchone() == (0,)


def test_sim_numbers_carry_a_luhn_digit(database: sqlite3.Connection) -> None:
    from stdnum import luhn

    numbers = [n for (n,) in database.execute("SELECT sim_number FROM account")]
    assert len(set(numbers)) == len(numbers) and all(len(n) == 19 and luhn.is_valid(n) for n in numbers)


def test_the_planted_dependences_can_be_seen(database: sqlite3.Connection) -> None:
    def figure(sql: str) -> float:
        return float(database.execute(sql).fetchone()[0])

    share = "SELECT avg(\"plan\" = 'max') FROM account JOIN location USING (client_id) WHERE kind = 'home' AND region = "
    assert figure(f"{share} 'Pacific'") > 1.5 * figure(f"{share} 'Plains'")
    billed = "SELECT avg(total) FROM invoice WHERE strftime('%m', issued_on) = "
    assert figure(f"{billed} '12'") > 1.1 * figure(f"{billed} '02'")
    late = """
        SELECT avg(now.status = 'late') FROM payment AS now JOIN invoice AS i USING (invoice_id)
        JOIN invoice AS j ON j.account_id = i.account_id AND strftime('%Y-%m', j.issued_on, '+1 month') = strftime('%Y-%m', i.issued_on)
        JOIN payment AS past ON past.invoice_id = j.invoice_id WHERE past.status """
    assert figure(late + "= 'late'") > 2 * figure(late + "= 'paid'")
    assert figure("SELECT max(n) FROM (SELECT count(*) AS n FROM account GROUP BY client_id)") > 30
    assert figure("SELECT count(*) FROM client WHERE client_id NOT IN (SELECT client_id FROM account)") == 200


def test_what_cannot_be_written_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SourceError, match="cannot be written"):
        demo.build(tmp_path / "file" / "telecom.db")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
