"""Values with a grammar of their own: what is made a real server takes, and spells as it was made."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from synth_pipeline import pipeline
from synth_pipeline.artifacts import ArtifactStore
from synth_pipeline.config_files import load_config
from synth_pipeline.synthesis.relational import documents
from synth_pipeline.synthesis.relational.random import Lane, stream
from synth_pipeline.synthesis.relational.shapes import KeyShapes

NewDatabase = Callable[..., str]
VALUES = {
    "inet": ["10.0.0.1", "8.8.8.8", "192.168.1.5/24", "::1", "2001:db8::8a2e:370:7334/64", "fe80::1"], "cidr": ["10.1.0.0/16", "2001:db8::/32"],
    "macaddr": ["08:00:2b:01:02:03"], "macaddr8": ["08:00:2b:01:02:03:04:05"], "bit(4)": ["1010", "0110"], "bit": ["0"], "varbit": ["10110"],
    "int4range": ["[1,5)", "[-20,20)", "[1999999999,2000000000)", "empty", "[1,)", "(,5)"],
    "int8range": ["[1000000000000000000,1000000000000000009)"],
    "numrange": ["(1.50,2.75]", "[0.10,0.20)", "(1,5)"], "daterange": ["[2024-01-01,2024-03-05)", "[2024-01-01,)"],
    "tsrange": ['["2024-01-01 10:00:00","2024-01-01 12:30:00")'], "tstzrange": ['["2024-01-01 10:00:00+00","2024-02-01 12:30:00+00"]'],
    "int4multirange": ["{[1,3),[7,12)}", "{}", "{[5,)}"], "datemultirange": ["{[2024-01-01,2024-01-07),[2024-05-01,2024-06-01)}"],
    "interval": ["1 year 2 mons 3 days 04:05:06.789", "-1 days +02:03:00", "00:15:00", "3 days", "11 mons"],
    "tsvector": ["'academi':1 'battl':15 'canadian':20", "'fat' 'rat'", "'a':1A,3B 'cat':4"], "tsquery": ["'fat' & 'rat'", "!'cat' | 'dog'"],
    "point": ["(1.5,2)", "(9,-2)"], "box": ["(4,9),(1,1)"], "path": ["((0,0),(1,1),(2,5))"],
    "polygon": ["((1,2),(3,4),(5,1))"], "circle": ["<(1,2),3>"],
    "integer[]": ["{1,2,NULL}", "{{1,2},{3,4}}"], "text[]": ['{a,"b, c",NULL,"say \\"hi\\"",x7}', "{}"], "boolean[]": ["{t,f,t}"],
    "int4range[]": ['{"[1,3)","[5,9)"}'], "inet[]": ["{10.0.0.1,10.0.0.2/24}"], "date[]": ["{2024-01-01,NULL}"], "numeric[]": ["{10.25,3}"],
    "timestamptz[]": ['{"2024-01-01 10:20:30+00"}'], "interval[]": ['{"1 day",02:00:00}'], "uuid[]": ["{5f0c8b2e-1111-4222-8333-444455556666}"],
    "bit(3)[]": ["{101,001}"], "jsonb": ['{"a": ["x", 1], "b": null}', "10", "[1, 5]"],
}  # fmt: skip
FREE_SPELLING = {"polygon", "box", "jsonb", "tsquery", "bit", "bit(4)"}


def test_a_server_takes_what_is_made_and_spells_it_in_the_same_way(new_database: NewDatabase) -> None:
    with psycopg.connect(new_database("forms"), autocommit=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for kind, real in VALUES.items():
            templates = [documents.template(v) for v in real] * 40
            made = documents.fill(templates, stream(0, kind))
            sql = f"SELECT v, format('%%s', v::{kind}) FROM unnest(%s::text[]) v"
            spelled = connection.execute(sql.encode(), [made]).fetchall()
            if kind not in FREE_SPELLING:
                assert all(a == b for a, b in spelled), (kind, next(p for p in spelled if p[0] != p[1]))
            fixed = {"empty", "{}", "[1, 5]"}
            assert any(v in fixed for v in real) or len(set(made)) > len(real), kind
            secret = {v for v in made if v in real} - fixed
            assert not secret or kind not in ("inet", "cidr", "macaddr", "macaddr8", "tsvector", "uuid[]", "tstzrange"), (kind, secret)


def test_forms_keep_what_their_values_are_about() -> None:
    (inside, outside), rng = (documents.template(v) for v in ("192.168.1.5", "8.8.8.8")), stream(0, "f")
    assert all(v.startswith("192.168.") for v in documents.fill([inside] * 20, rng))
    assert not any(v.startswith(("10.", "127.", "0.")) for v in documents.fill([outside] * 20, rng))
    lengths = [tuple(map(int, v.strip("[)").split(","))) for v in documents.fill([documents.template("[100,150)")] * 50, rng)]
    assert all(100 <= a <= 999 and 10 <= b - a <= 99 for a, b in lengths)
    assert all(v.split(":")[0] == "00" and v.endswith(":00") for v in documents.fill([documents.template("00:15:00")] * 20, rng))


def test_markup_keeps_its_tags_and_none_of_its_contents() -> None:
    from xml.etree import ElementTree

    made = documents.fill([documents.template('<a href="x1"><b>Bob 7</b> &amp; <c/></a>')] * 20, stream(0, "x"))
    assert all([e.tag for e in ElementTree.fromstring(v).iter()] == ["a", "b", "c"] for v in made)
    assert not any("Bob" in v or "x1" in v for v in made)


def test_keys_with_a_grammar_are_valid_and_different_in_every_part_of_a_table() -> None:
    import ipaddress

    real = [f"10.0.{i}.1" for i in range(60)]
    keys = KeyShapes.fit(real, None)
    parts = [keys.generate(300, set(real), stream(i, "k"), Lane(i, 3)) for i in range(3)]
    assert all(len(p) == 300 for p in parts) and len({v for p in parts for v in p}) == 900
    assert all(ipaddress.ip_address(v) and v.startswith("10.") for p in parts for v in p)
    flags = KeyShapes.fit(["00", "01", "10"], 2).generate(4, (), stream(0, "k"))
    assert sorted(flags) == ["00", "01", "10", "11"]


def test_a_whole_run_needs_no_repair(new_database: NewDatabase, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, target, path = new_database("source"), new_database("target"), tmp_path / "forms.yaml"
    setup = """
        CREATE TABLE device (id serial PRIMARY KEY, address inet NOT NULL UNIQUE, mac macaddr NOT NULL, net cidr, flags bit(8) NOT NULL, place point);
        CREATE TABLE stay (id serial PRIMARY KEY, device int NOT NULL REFERENCES device, during tstzrange NOT NULL, days daterange NOT NULL,
            paid numrange, words tsvector NOT NULL, rest interval, tags text[], marks int[] NOT NULL, seen inet[], open boolean[]);
        INSERT INTO device (address, mac, net, flags, place) SELECT ('10.1.' || i % 200 || '.' || i / 200)::inet, ('08:00:2b:01:02:' ||
            lpad(to_hex(i % 256), 2, '0'))::macaddr, ('10.' || i % 250 || '.0.0/16')::cidr, (i % 256)::bit(8), point(i, i / 3.0)
            FROM generate_series(1, 300) i;
        INSERT INTO stay (device, during, days, paid, words, rest, tags, marks, seen, open)
            SELECT 1 + i % 300, tstzrange(t, t + i * interval '1 hour'), daterange(t::date, t::date + i % 9 + 1), numrange(i, i + i / 7.0),
            to_tsvector('english', 'stay of guest number ' || i || ' in the old house'), i * interval '1 hour 1 second', ARRAY['a' || i, NULL],
            ARRAY[i, NULL],
            ARRAY['10.0.0.1'::inet], ARRAY[true, i % 2 = 0]
            FROM generate_series(1, 800) i, LATERAL (SELECT timestamptz '2024-01-01' + i * interval '3 hours' AS t) x;
    """
    with psycopg.connect(source) as connection:
        connection.execute(setup.encode())
    path.write_text(f'source: {{url: "{source}"}}\nexport: {{url: "{target}"}}\n')
    config, store = load_config(path), ArtifactStore(tmp_path / "artifacts")
    with caplog.at_level(logging.WARNING):
        pipeline.run(config, store, last="sample")
        pipeline.run(config, store, first="export")
    assert not [r for r in caplog.records if "none of its type" in r.getMessage()]
    with psycopg.connect(target) as connection:
        inside = "count(*) FILTER (WHERE address << '10.0.0.0/8')"
        assert connection.execute(f"SELECT count(*), count(DISTINCT address), {inside} FROM device".encode()).fetchone() == (300, 300, 300)
        sql = "SELECT count(*), bool_and(NOT isempty(during) AND NOT isempty(days)), min(lower(days)), max(lower(days)) FROM stay"
        total, filled, first, last = connection.execute(sql.encode()).fetchone() or ()
        assert abs(total - 800) <= 40 and filled and (first.year, last.year) == (2024, 2024)
