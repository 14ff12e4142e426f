"""User names and mail addresses are of the person of their row, in the form of the source."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import synth_pipeline as sp

FIRST = "Anna Ben Carla Dmitri Elena Farid Greta Hugo Ines Jonas Kate Luca".split()
LAST = "Adler Berg Cohen Dubois Eriksen Flores Garcia Hansen Ivanov Jensen".split()


def drawn(folder: Path, columns: str, rows: list[tuple[object, ...]]) -> pd.DataFrame:
    with sqlite3.connect(folder / "real.db") as db:
        db.execute(f"CREATE TABLE person (id INTEGER PRIMARY KEY, {columns})")
        db.executemany(f"INSERT INTO person VALUES ({','.join('?' * (len(rows[0]) + 1))})", [(i + 1, *row) for i, row in enumerate(rows)])
    db.close()
    made = sp.open(f"sqlite:///{folder}/real.db").metadata().subset(holdout=0.0).fit(seed=0).sample(seed=0)["person"]
    for at, column in enumerate(made.columns[1:]):
        assert not set(made[column].dropna()) & {row[at] for row in rows}, column
    return made


def people(count: int) -> list[tuple[str, str]]:
    rng = np.random.default_rng(5)
    return [(FIRST[a], LAST[b]) for a, b in zip(rng.integers(0, 12, count), rng.integers(0, 10, count), strict=True)]


def plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def test_a_mail_follows_a_name_that_repeats_and_the_form_of_the_source(tmp_path: Path) -> None:
    rows = [(f"{a} {b}", f"{a[0]}{b}{i}@acme-corp.com".lower()) for i, (a, b) in enumerate(people(400))]
    made = drawn(tmp_path, "full_name TEXT NOT NULL, email TEXT NOT NULL UNIQUE", rows)
    assert made["email"].is_unique and made["full_name"].nunique() < 130
    for name, mail in zip(made["full_name"], made["email"], strict=True):
        first, last = map(plain, (name.split()[0], name.split()[-1]))
        assert re.fullmatch(rf"{first[0]}{last}\d+", mail.split("@")[0]), (name, mail)
    assert made["email"].str.split("@").str[1].nunique() == 1


def test_a_mail_follows_the_user_name_of_its_row(tmp_path: Path) -> None:
    rows = [(f"{a}_{b}{i}".lower(), f"{a}_{b}{i}@{('gmail.com', 'gmx.de')[i % 2]}".lower()) for i, (a, b) in enumerate(people(300))]
    made = drawn(tmp_path, "username TEXT NOT NULL UNIQUE, email TEXT NOT NULL UNIQUE", rows)
    assert (made["username"] == made["email"].str.split("@").str[0]).all()
    assert made["email"].str.split("@").str[1].nunique() > 1


@pytest.mark.parametrize("parts", [True, False])
def test_accounts_of_real_people_that_say_nothing_of_their_names_are_made_as_ever(tmp_path: Path, parts: bool) -> None:
    rng = np.random.default_rng(6)
    rows = [((a, b) if parts else (f"{a} {b}",)) + (f"{x}@acme.org",) for (a, b), x in zip(people(300), rng.permutation(90_000)[:300], strict=True)]
    made = drawn(tmp_path, ("first_name TEXT, last_name TEXT" if parts else "full_name TEXT") + ", email TEXT UNIQUE", rows)
    assert made["email"].is_unique and made["email"].str.contains("@example").all()
