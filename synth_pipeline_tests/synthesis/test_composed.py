"""Texts that are composed of other columns are so in the copy: names, addresses, codes, slugs, file names and paths."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from stdnum import luhn

import synth_pipeline as sp
from synth_pipeline.catalog.schema import Column
from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.notebook import Fitted
from synth_pipeline.synthesis.base import SampleRequest
from synth_pipeline.synthesis.parallel import Workers
from synth_pipeline.synthesis.relational import store
from synth_pipeline.synthesis.relational.composing import composed_texts
from synth_pipeline.synthesis.relational.random import WHOLE, Lane
from synth_pipeline.synthesis.relational.rules.examples import Option, Search
from synth_pipeline.synthesis.relational.rules.pieces import LITERAL, Composed, Piece, Taken, formed, joined, number_texts
from synth_pipeline_tests.helpers import broken_in, copied, sampled

FIRST = "Anna Ben Carla Dmitri Elena Farid Greta Hugo Ines Jonas Kate Luca Mona Nils Olga Paul".split()
LAST = "Adler Berg Cohen Dubois Eriksen Flores Garcia Hansen Ivanov Jensen Keller Lopez".split()
FIELDS = "Build Trade Tech Food Wood Steel Glass Print Care Clean Energy Garden".split()
KINDS = {"OFF": "Offer", "INV": "Invoice", "CRN": "Credit Note"}
COMPANY = "JOIN person p ON p.id = d.person_id JOIN company c ON c.id = p.company_id"
STATEMENTS = {
    "customer_no": "SELECT count(*) FROM company WHERE customer_no <> 'K' || country || (id + 10000)",
    "website": "SELECT count(*) FROM company WHERE website <> 'https://www.' || domain",
    "full_name": "SELECT count(*) FROM person WHERE full_name <> first_name || ' ' || last_name",
    "display_name": "SELECT count(*) FROM person WHERE display_name <> last_name || ', ' || first_name",
    "initials": "SELECT count(*) FROM person WHERE initials <> substr(first_name, 1, 1) || substr(last_name, 1, 1)",
    "domain": "SELECT count(*) FROM person p JOIN company c ON c.id = p.company_id WHERE substr(email, instr(email, '@') + 1) <> c.domain",
    "user": "SELECT count(*) FROM person WHERE rtrim(substr(email, 1, instr(email, '@') - 1), '0123456789') <> lower(first_name || '.' || last_name)",
    "unique": "SELECT count(*) - count(DISTINCT email) FROM person",
    "nick": "SELECT count(*) FROM person WHERE called IS NOT 'called ' || upper(nick)",
    "doc_no": "SELECT count(*) FROM document WHERE substr(doc_no, 1, 9) <> kind || '-' || strftime('%Y', day) || '-'",
    "counted": "SELECT count(*) FROM (SELECT substr(doc_no, 1, 8) AS s, min(CAST(substr(doc_no, 10) AS INTEGER)) AS low, max(CAST(substr(doc_no, 10) "
    "AS INTEGER)) AS high, count(DISTINCT doc_no) AS n FROM document GROUP BY s HAVING low <> 1 OR high <> n)",
    "title": f"SELECT count(*) FROM document d {COMPANY} WHERE title <> CASE kind WHEN 'OFF' THEN 'Offer' WHEN 'INV' THEN 'Invoice' "
    "ELSE 'Credit Note' END || ' ' || c.name",
    "file_name": "SELECT count(*) FROM document WHERE file_name NOT LIKE doc_no || '_%.pdf'",
    "path": "SELECT count(*) FROM document WHERE path <> '/' || strftime('%Y/%m', day) || '/' || file_name",
    "drafts": "SELECT count(*) FROM document WHERE (url IS NULL) <> (kind = 'OFF') OR url <> 's3://archive' || path",
    "author": "SELECT count(*) FROM document WHERE author NOT IN (SELECT email FROM person)",
    "receipt": "SELECT count(*) FROM note n JOIN document d ON d.id = n.document_id WHERE n.receipt NOT LIKE d.doc_no || '/______'",
    "repeated": "SELECT count(*) FROM note n JOIN document d ON d.id = n.document_id WHERE n.about <> 'on ' || d.doc_no",
}  # fmt: skip


def build(path: Path) -> None:
    rng = np.random.default_rng(11)
    with sqlite3.connect(path) as db:
        db.executescript("""
            CREATE TABLE company (id INTEGER PRIMARY KEY, country TEXT NOT NULL, customer_no TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE,
                domain TEXT NOT NULL UNIQUE, website TEXT NOT NULL);
            CREATE TABLE person (id INTEGER PRIMARY KEY, company_id INTEGER NOT NULL REFERENCES company (id), first_name TEXT NOT NULL,
                last_name TEXT NOT NULL, full_name TEXT NOT NULL, display_name TEXT NOT NULL, initials TEXT NOT NULL, nick TEXT, called TEXT,
                email TEXT NOT NULL UNIQUE);
            CREATE TABLE document (id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL REFERENCES person (id), author TEXT NOT NULL
                REFERENCES person (email), kind TEXT NOT NULL, day DATE NOT NULL, doc_no TEXT NOT NULL UNIQUE, title TEXT NOT NULL,
                file_name TEXT NOT NULL UNIQUE, path TEXT NOT NULL UNIQUE, url TEXT);
            CREATE TABLE note (id INTEGER PRIMARY KEY, document_id INTEGER NOT NULL REFERENCES document (id), about TEXT NOT NULL,
                receipt TEXT NOT NULL UNIQUE, length INTEGER NOT NULL);
        """)
        companies, mails, count = [], set[str](), {}
        for i in range(1, 241):
            name = f"{LAST[i % 12]} {FIELDS[(i // 12) % 12]} {'GmbH' if i < 144 else 'AG'}"
            domain = name.lower().replace(" ", "-") + ".example"
            companies.append((i, name))
            country = str(rng.choice(["DE", "AT", "CH"]))
            db.execute("INSERT INTO company VALUES (?, ?, ?, ?, ?, ?)", (i, country, f"K{country}{i + 10000}", name, domain, f"https://www.{domain}"))
        people = []
        for i in range(1, 901):
            company = int(rng.integers(1, 241)) if i > 240 else i
            a, b = FIRST[rng.integers(0, 16)], LAST[rng.integers(0, 3 if company % 3 else 12)]
            domain = companies[company - 1][1].lower().replace(" ", "-") + ".example"
            mail, k = f"{a}.{b}@{domain}".lower(), 1
            while mail in mails:
                k += 1
                mail = f"{a}.{b}{k}@{domain}".lower()
            mails.add(mail)
            nick = None if rng.random() < 0.4 else f"{a[:3]}{rng.choice(list('aeiou'))}{rng.choice(list('klmnprst'))}i"
            people.append((i, company, mail))
            row = (i, company, a, b, f"{a} {b}", f"{b}, {a}", a[0] + b[0], nick, nick and f"called {nick.upper()}", mail)
            db.execute("INSERT INTO person VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        days = np.sort(rng.integers(0, 1000, 2400))
        for i, d in enumerate(days.tolist(), 1):
            day, kind = np.datetime64("2021-03-01") + d, str(rng.choice(list(KINDS), p=[0.3, 0.6, 0.1]))
            person, company, _ = people[rng.integers(0, 900)]
            group = f"{kind}-{str(day)[:4]}-"
            count[group] = count.get(group, 0) + 1
            number, title = f"{group}{count[group]:05d}", f"{KINDS[kind]} {companies[company - 1][1]}"
            file = f"{number}_{re.sub('[^a-z0-9]+', '-', title.lower())}.pdf"
            where = f"/{str(day)[:4]}/{str(day)[5:7]}/{file}"
            row = (
                i,
                person,
                people[rng.integers(0, 900)][2],
                kind,
                str(day),
                number,
                title,
                file,
                where,
                None if kind == "OFF" else f"s3://archive{where}",
            )
            db.execute("INSERT INTO document VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            if i % 2:
                receipt = f"{number}/{rng.integers(10**5, 10**6)}"
                db.execute("INSERT INTO note VALUES (?, ?, ?, ?, ?)", (i, i, f"on {number}", receipt, int(rng.integers(5, 500))))
    db.close()


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    path = tmp_path_factory.mktemp("real") / "real.db"
    build(path)
    assert not any(broken_in(path, STATEMENTS).values()), broken_in(path, STATEMENTS)
    return sp.open(f"sqlite:///{path}").metadata().subset(holdout=0.0).fit(seed=1)


def test_what_is_composed_is_found(fitted: Fitted) -> None:
    rules = fitted.info["rules"]
    for rule in (
        "company.customer_no = 'K' + country + (id + 10000)",
        "company.website = 'https://www.' + domain",
        "person.full_name = first_name + ' ' + last_name",
        "person.display_name = last_name + ', ' + first_name",
        "person.initials = initials(full_name)",
        "person.called = 'called ' + upper(nick)",
        "person.email = lower(first_name) + '.' + lower(last_name) + '@' + domain of its company, and a number from 2 on where that is taken",
        "document.doc_no = kind + '-' + %Y(day) + '-' + 99999, counted in the order of id, from the start for each kind and %Y(day)",
        "document.title = Credit Note /Invoice /Offer  by kind + name of the company of its person",
        "document.path = '/' + %Y/%m(day) + '/' + file_name",
        "document.url = 's3://archive' + path",
        "note.about = 'on ' + doc_no of its document",
        "note.receipt = doc_no of its document + '/' + what is its own",
    ):  # fmt: skip
        assert rule in rules, (rule, rules)
    assert any(r.startswith("document.file_name = doc_no + '_' + ") for r in rules)


@pytest.mark.parametrize("shard_rows", [250_000, 900])
def test_it_holds_on_every_row_of_the_copy(fitted: Fitted, tmp_path: Path, shard_rows: int) -> None:
    copy = copied(fitted, tmp_path / "copy", shard_rows)
    assert not any(broken_in(copy, STATEMENTS).values()), broken_in(copy, STATEMENTS)
    with sqlite3.connect(copy) as db:
        without = db.execute("SELECT count(*) FROM person WHERE called IS NULL").fetchone()[0]
        numbered = db.execute("SELECT count(*) FROM person WHERE email GLOB '*[0-9]@*'").fetchone()[0]
    db.close()
    assert 270 < without < 450
    assert numbered < 30, "an address tells the company, which is in no other shard"


def test_no_name_or_address_of_the_source_comes_out(fitted: Fitted, tmp_path: Path) -> None:
    real, made = fitted.taken.made.bundle.read("person"), sampled(fitted, tmp_path / "a", SampleRequest(seed=3)).read("person")
    for column in ("first_name", "last_name", "full_name", "display_name", "email"):
        assert not set(real.column(column).to_pylist()) & set(made.column(column).to_pylist()), column


def test_two_processes_give_the_same_bytes_and_so_does_what_was_stored(fitted: Fitted, tmp_path: Path) -> None:
    one = sampled(fitted, tmp_path / "one", SampleRequest(seed=5, shard_rows=900))
    two = sampled(fitted, tmp_path / "two", SampleRequest(seed=5, shard_rows=900, workers=Workers(2)))
    assert one.content_hash == two.content_hash
    (tmp_path / "model").mkdir()
    store.save(fitted.made._model, tmp_path / "model")  # type: ignore[attr-defined]
    loaded = store.load(tmp_path / "model")
    assert {t: m.rules.composed for t, m in loaded.tables.items()} == {t: m.rules.composed for t, m in fitted.made._model.tables.items()}  # type: ignore[attr-defined]


def test_texts_that_are_taken_get_a_number() -> None:
    """Without regard to case where the column has none, within its length, and in parts that never make the same."""
    mail = Composed((Piece("lower whole", "a"), Piece("literal", "@x.org")), Taken(1, "", 2))
    names = pa.array(["Ann", "Bob", "ann", "Ann", "Ann2", None])
    column = Column("mail", LogicalType("text", length=10), case_sensitive=False)
    texts = composed_texts(mail, {mail.pieces[0]: names}, column, WHOLE, unique=True)
    assert texts.to_pylist() == ["ann@x.org", "bob@x.org", "ann3@x.org", "ann4@x.org", "ann2@x.org", None]
    wide = Column("mail", LogicalType("text"), nullable=False)
    parts = [composed_texts(mail, {mail.pieces[0]: names.drop_null()}, wide, Lane(i, 3), unique=True).to_pylist() for i in range(3)]
    assert len({t for part in parts for t in part}) == 15 and all(t.endswith("@x.org") for part in parts for t in part)
    narrow = composed_texts(mail, {mail.pieces[0]: pa.array(["a"] * 30)}, Column("mail", LogicalType("text", length=7)), WHOLE, unique=True)
    assert len(set(narrow.to_pylist())) == 30 and max(map(len, narrow.to_pylist())) == 7


def test_a_code_ends_in_a_check_digit() -> None:
    order = (Piece(LITERAL, "O-"), Piece("count", "4"), Piece("check", "luhn"))
    texts = joined(order, lambda p: pa.nulls(3), 3, number_texts(np.array([1, 22, 12_345]), 4)).to_pylist()
    assert [t[:-1] for t in texts] == ["O-0001", "O-0022", "O-12345"] and all(luhn.is_valid(t[2:]) for t in texts)


def build_stock(path: Path) -> None:
    """Articles whose numbers begin with a code for their group, and dealers whose tax and telephone numbers begin as their country says."""
    rng, groups = np.random.default_rng(8), {"Books": "BO-", "Games": "GX-", "Music": "MU-", "Tools": "TL-"}
    with sqlite3.connect(path) as db:
        db.executescript("""
            CREATE TABLE country (code TEXT PRIMARY KEY, name TEXT NOT NULL, dial TEXT NOT NULL);
            CREATE TABLE dealer (id INTEGER PRIMARY KEY, country TEXT NOT NULL REFERENCES country (code), vat_id TEXT NOT NULL UNIQUE, phone TEXT);
            CREATE TABLE article (id INTEGER PRIMARY KEY, dealer_id INTEGER NOT NULL REFERENCES dealer (id), kind TEXT NOT NULL,
                number TEXT NOT NULL UNIQUE, price NUMERIC(8, 2) NOT NULL);
        """)
        countries = (("DE", "Germany", "+49"), ("AT", "Austria", "+43"), ("FR", "France", "+33"))
        db.executemany("INSERT INTO country VALUES (?, ?, ?)", countries)
        for i, digits in enumerate((10**8 + rng.permutation(10**5)[:300] * 7919).tolist(), 1):
            country = countries[int(rng.choice(3, p=[0.6, 0.3, 0.1]))]
            phone = f"{country[2]} {rng.integers(10, 99)} {rng.integers(10**5, 10**7)}" if rng.random() < 0.7 else None
            db.execute("INSERT INTO dealer VALUES (?, ?, ?, ?)", (i, country[0], f"{country[0]}{digits}", phone))
        for i, digits in enumerate(rng.permutation(9000)[:1500].tolist(), 1):
            kind = str(rng.choice(list(groups)))
            row = (i, int(rng.integers(1, 301)), kind, f"{groups[kind]}{digits + 1000}", round(float(rng.lognormal(3, 1)), 2))
            db.execute("INSERT INTO article VALUES (?, ?, ?, ?, ?)", row)
    db.close()


BEGUN = {
    "number": "SELECT count(*) FROM article WHERE number NOT GLOB CASE kind WHEN 'Books' THEN 'BO-' WHEN 'Games' THEN 'GX-' WHEN 'Music' THEN 'MU-' "
    "ELSE 'TL-' END || '[0-9][0-9][0-9][0-9]'",
    "unique": "SELECT count(*) - count(DISTINCT number) FROM article",
    "vat_id": "SELECT count(*) FROM dealer WHERE vat_id NOT LIKE country || '_________'",
    "phone": "SELECT count(*) FROM dealer d JOIN country c ON c.code = d.country WHERE d.phone NOT LIKE c.dial || ' __ %'",
}


@pytest.mark.parametrize("shard_rows", [250_000, 600])
def test_codes_begin_with_what_other_columns_say(tmp_path: Path, shard_rows: int) -> None:
    build_stock(tmp_path / "real.db")
    assert not any(broken_in(tmp_path / "real.db", BEGUN).values())
    fitted = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=0.0).fit(seed=1)
    rules = fitted.info["rules"]
    assert "dealer.vat_id = country + what is its own" in rules and "dealer.phone = dial of its country + ' ' + what is its own" in rules, rules
    assert "article.number = BO-/GX-/MU-/TL- by kind + what is its own" in rules
    copy = copied(fitted, tmp_path / "copy", shard_rows)
    assert not any(broken_in(copy, BEGUN).values()), broken_in(copy, BEGUN)
    with sqlite3.connect(tmp_path / "real.db") as real, sqlite3.connect(copy) as made:
        for column in ("vat_id", "phone"):
            both = [{v for (v,) in db.execute(f"SELECT {column} FROM dealer WHERE {column} IS NOT NULL")} for db in (real, made)]
            assert not both[0] & both[1] and len(both[1]) > 150, column
    real.close()
    made.close()


def near_miss(path: Path, share: float) -> list[str]:
    """The rules of a table in which so many texts are composed otherwise."""
    rng = np.random.default_rng(3)
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE thing (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, code TEXT NOT NULL, label TEXT NOT NULL, free TEXT NOT NULL)")
        for i in range(1, 401):
            kind, code = str(rng.choice(["alpha", "beta", "gamma", "delta"])), f"{rng.integers(100, 1000)}{'KLMN'[rng.integers(0, 4)]}"
            label = f"{kind} {code}" if rng.random() >= share else f"{kind} {code[::-1]}"
            db.execute("INSERT INTO thing VALUES (?, ?, ?, ?, ?)", (i, kind, code, label, f"{kind[0]}{rng.integers(100, 1000)}"))
    db.close()
    return list(sp.open(f"sqlite:///{path}").metadata().subset(holdout=0.0).fit(seed=1).info["rules"])


def test_what_only_mostly_is_composed_is_not_taken(tmp_path: Path) -> None:
    assert "thing.label = kind + ' ' + code" in near_miss(tmp_path / "a.db", 0.0)
    rules = near_miss(tmp_path / "b.db", 0.03)
    assert not [r for r in rules if r.startswith(("thing.label =", "thing.free =", "thing.code ="))], rules


def test_a_search_takes_the_longest_pieces_and_goes_back_where_they_lead_nowhere() -> None:
    options = [Option(Piece("same", c), t) for c, t in (("a", ("x-1", "y-2")), ("b", ("x-1z", "y-2z")), ("c", ("9", "8")))]
    found = Search(("x-1z/9", "y-2z/8"), options).solve()
    assert found == (Piece("same", "b"), Piece(LITERAL, "/"), Piece("same", "c"))
    assert Search(("x-1z9", "y-2zz8"), options).solve() is None
    assert Search(("x-1zz9", "y-2zz8"), options[:1] + options[2:]).solve() == (Piece("same", "a"), Piece(LITERAL, "zz"), Piece("same", "c"))


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        ("lower slug -", "Café & Bar: Nr. 5", "café-bar-nr-5"), ("lower plain slug -", "Café & Bar: Nr. 5", "cafe-bar-nr-5"),
        ("lower slug _ and", "North & South", "north_and_south"), ("lower plainer slug .", "Jörg Müßig", "joerg.muessig"),
        ("upper first 3", "Berlin", "BER"), ("same first word", "Anna Maria Berg", "Anna"), ("same last word", "Anna Maria Berg", "Berg"),
        ("same initials", "Anna Maria Berg", "AMB"), ("same before @", "a.b@c.org", "a.b"), ("same after @", "a.b@c.org", "c.org"),
        ("same after .", "report.final.pdf", "pdf"), ("same digits", "O21-0007", "210007"), ("same letters and digits", "O21-0007", "O210007"),
    ],
)  # fmt: skip
def test_forms_of_texts(form: str, value: str, text: str) -> None:
    assert formed(Piece(form, "c"), pa.array([value, None])).to_pylist() == [text, None]
