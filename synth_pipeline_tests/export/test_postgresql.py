"""A PostgreSQL source to a PostgreSQL target, on a real server: the same structure, whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from synth_pipeline import pipeline
from synth_pipeline.artifacts import ArtifactStore, BundleWriter, TableBundle
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.config import ExportConfig
from synth_pipeline.config_files import load_config
from synth_pipeline.connectors import connect
from synth_pipeline.errors import ExportError
from synth_pipeline.export import ExportResult, export_database
from synth_pipeline_tests.connectors.postgresql import dump, run_sql
from synth_pipeline_tests.waiting import until

HOSTILE = Path(__file__).resolve().parents[1] / "connectors" / "hostile.sql"
NewDatabase = Callable[..., str]


def bundle_of(url: str, directory: Path, schemas: Sequence[str] = ()) -> tuple[DatabaseSchema, TableBundle, str]:
    """Every row of a database, or of some schemas of it, its schema and its identity."""
    with closing(connect(url, schemas)) as connector:
        schema = connector.reflect()
        with BundleWriter(directory, schema) as writer, connector.snapshot() as snapshot:
            for table in schema.tables:
                for batch in snapshot.rows(table, batch=100):
                    writer.write(table.id, batch)
        return schema, TableBundle.open(directory), connector.identity()


def exported(source: str, target: str, directory: Path, mode: str = "replace") -> ExportResult:
    schema, bundle, identity = bundle_of(source, directory)
    return export_database(schema, schema, bundle, ExportConfig(url=target, mode=mode), source_identity=identity)  # type: ignore[arg-type]


def one(url: str, sql: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(sql.encode()).fetchone()
    return row[0] if row else None


@pytest.fixture
def hostile(new_database: NewDatabase) -> str:
    url = new_database("hostile")
    run_sql(url, HOSTILE)
    return url


def test_a_schema_of_everything_arrives_as_it_was_with_every_value(hostile: str, new_database: NewDatabase, tmp_path: Path) -> None:
    target = new_database("copy")
    result = exported(hostile, target, tmp_path / "a")
    assert result.losses == ()
    assert result.same_schema
    assert dump(target) == dump(hostile)
    first, second = bundle_of(hostile, tmp_path / "b")[1], bundle_of(target, tmp_path / "c")[1]
    assert second.content_hash == first.content_hash
    assert one(target, "SELECT count(*) FROM public.totals") == one(hostile, "SELECT count(*) FROM public.totals")


def test_sequences_and_identities_continue_after_the_highest_key(hostile: str, new_database: NewDatabase, tmp_path: Path) -> None:
    target = new_database("copy")
    exported(hostile, target, tmp_path / "a")
    highest = one(target, "SELECT max(id) FROM customer")
    assert one(target, "INSERT INTO customer (share) VALUES (1) RETURNING id") > highest  # type: ignore[operator]
    assert one(target, """INSERT INTO "Sales Ops"."Order" (customer, placed) VALUES (5, '2024-05-05') RETURNING no""") == 501
    assert one(target, "SELECT changed FROM customer ORDER BY id DESC LIMIT 1") is not None  # the trigger is there, and fires now


def test_a_database_that_does_not_exist_is_made_and_a_failure_leaves_none(hostile: str, postgresql_server: str, tmp_path: Path) -> None:
    name = f"made_{os.urandom(3).hex()}"
    target = postgresql_server.format(name)
    schema, bundle, identity = bundle_of(hostile, tmp_path / "a")
    broken = bundle_without(schema, bundle, tmp_path / "b", "customer")
    exists = f"SELECT count(*) FROM pg_database WHERE datname = '{name}'"
    with pytest.raises(ExportError, match="foreign key"):
        export_database(schema, schema, broken, ExportConfig(url=target), source_identity=identity)
    assert one(hostile, exists) == 0
    export_database(schema, schema, bundle, ExportConfig(url=target, mode="create"), source_identity=identity)
    assert dump(target) == dump(hostile)
    with pytest.raises(ExportError, match="exists"):
        export_database(schema, schema, bundle, ExportConfig(url=target, mode="create"), source_identity=identity)
    with psycopg.connect(hostile, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name}".encode())


def bundle_without(schema: DatabaseSchema, bundle: TableBundle, directory: Path, table: str) -> TableBundle:
    """The bundle with one table empty, so that what refers to it dangles."""
    with BundleWriter(directory, schema) as writer:
        for name in schema.table_ids:
            if name != table:
                writer.write(name, bundle.read(name))
    return TableBundle.open(directory)


def test_the_source_is_never_written_by_whatever_name(hostile: str, tmp_path: Path) -> None:
    schema, bundle, identity = bundle_of(hostile, tmp_path / "a")
    before = dump(hostile)
    for other in (hostile, hostile.replace("postgresql://", "postgresql+psycopg://"), hostile + "&application_name=other"):
        with pytest.raises(ExportError, match="source itself"):
            export_database(schema, schema, bundle, ExportConfig(url=other), source_identity=identity)
    assert dump(hostile) == before


def test_a_failed_replace_leaves_what_was_there(hostile: str, new_database: NewDatabase, tmp_path: Path) -> None:
    target = new_database("copy")
    exported(hostile, target, tmp_path / "a")
    schema, bundle, identity = bundle_of(hostile, tmp_path / "b")
    before, rows = dump(target), one(target, "SELECT count(*) FROM customer")
    with pytest.raises(ExportError, match="boss_fk|Order_customer_fkey"):
        broken = bundle_without(schema, bundle, tmp_path / "c", "customer")
        export_database(schema, schema, broken, ExportConfig(url=target), source_identity=identity)
    assert (dump(target), one(target, "SELECT count(*) FROM customer")) == (before, rows)


def test_readers_never_see_an_empty_or_half_database_while_it_is_replaced(hostile: str, new_database: NewDatabase, tmp_path: Path) -> None:
    target = new_database("copy")
    exported(hostile, target, tmp_path / "a")
    seen: set[object] = set()
    problems: list[str] = []
    stop = threading.Event()

    def read() -> None:
        with psycopg.connect(target, autocommit=True, prepare_threshold=None) as connection:
            while not stop.is_set():
                sql = 'SELECT (SELECT count(*) FROM customer), (SELECT count(*) FROM "Sales Ops".line), (SELECT count(*) FROM happy) > 0'
                try:
                    seen.add(connection.execute(sql.encode()).fetchone())
                except psycopg.Error as e:
                    problems.append(str(e))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for i in range(3):
            exported(hostile, target, tmp_path / f"r{i}")
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert problems == []
    assert seen == {(300, 1500, True)}
    assert one(target, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'synth%'") == 0


def test_a_killed_export_leaves_the_old_database(hostile: str, new_database: NewDatabase, tmp_path: Path) -> None:
    target = new_database("copy")
    exported(hostile, target, tmp_path / "a")
    before = dump(target)
    script = f"""
import sys, time
from pathlib import Path
import synth_pipeline.export.load as load
from synth_pipeline_tests.export.test_postgresql import exported
verify = load.verify
def slow(*a, **k):
    print("built", flush=True)
    time.sleep(60)
load.verify = slow
exported({hostile!r}, {target!r}, Path({str(tmp_path / "k")!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[2])
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "built"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'synth-pipeline' AND datname = current_database()"
    until(lambda: not one(target, connected), 60, "the end of the connection", pause=0.05)
    assert dump(target) == before
    assert one(target, "SELECT count(*) FROM customer") == 300
    assert exported(hostile, target, tmp_path / "again").same_schema


def test_appended_rows_get_keys_of_their_own_and_fire_no_trigger(new_database: NewDatabase, tmp_path: Path) -> None:
    source, target = new_database("source"), new_database("copy")
    with psycopg.connect(source) as connection:
        connection.execute("""
            CREATE TABLE a (id serial PRIMARY KEY, b integer, touched boolean DEFAULT false);
            CREATE TABLE b (id serial PRIMARY KEY, a integer NOT NULL REFERENCES a (id), touched boolean DEFAULT false);
            ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b (id);
            INSERT INTO a (b) SELECT NULL FROM generate_series(1, 10);
            INSERT INTO b (a) SELECT id FROM a;
            UPDATE a SET b = id;
            CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := true; RETURN NEW; END $$;
            CREATE TRIGGER touch BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION touch();
        """)
    exported(source, target, tmp_path / "a")
    before = dump(target)
    exported(source, target, tmp_path / "b", mode="append")
    assert dump(target) == before
    assert one(target, "SELECT count(*) FROM a JOIN b ON b.a = a.id AND a.b = b.id") == 20
    assert one(target, "SELECT bool_or(touched) FROM a") is False
    assert one(target, "INSERT INTO a DEFAULT VALUES RETURNING id") == 21


def test_privileges_that_the_target_gave_survive_a_replace(hostile: str, new_database: NewDatabase, tmp_path: Path) -> None:
    target, role = new_database("copy"), f"reader_{os.urandom(3).hex()}"
    exported(hostile, target, tmp_path / "a")
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role}; GRANT SELECT ON customer TO {role}; GRANT USAGE ON SCHEMA archive TO {role}".encode())
    exported(hostile, target, tmp_path / "b")
    assert one(target, f"SELECT has_table_privilege('{role}', 'customer', 'SELECT') AND has_schema_privilege('{role}', 'archive', 'USAGE')")
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_what_others_built_on_the_target_is_not_torn_down(hostile: str, new_database: NewDatabase, tmp_path: Path) -> None:
    target = new_database("copy")
    exported(hostile, target, tmp_path / "a")
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA mine; CREATE VIEW mine.v AS SELECT id FROM public.customer")
    with pytest.raises(ExportError, match=r"mine\.v"):
        schema, bundle, identity = bundle_of(hostile, tmp_path / "b")
        export_database(schema, schema, bundle, ExportConfig(url=target), source_identity=identity)
    assert one(target, "SELECT count(*) FROM mine.v") == 300


@pytest.mark.parametrize("name", ["sakila", "hostile"])
def test_a_whole_run(shared_data: Path, new_database: NewDatabase, tmp_path: Path, name: str) -> None:
    source, target = new_database(name), new_database("copy")
    if name == "hostile":
        run_sql(source, HOSTILE)
    else:
        run_sql(source, *(shared_data / "postgresql" / f"sakila-{part}.sql" for part in ("schema", "data")), strict=False)
    path = tmp_path / "configs" / f"{name}.yaml"
    path.parent.mkdir()
    path.write_text(f'source: {{url: "{source}"}}\nexport: {{url: "{target}"}}\n')
    config, store = load_config(path), ArtifactStore(tmp_path / "artifacts")
    pipeline.run(config, store, last="sample")
    pipeline.run(config, store, first="export")
    assert dump(target) == dump(source)
    with closing(connect(source)) as before, closing(connect(target)) as after:
        schema = before.reflect()
        for table in schema.tables:
            rows, made = before.profile(table).rows or 0, after.profile(table).rows or 0
            assert rows <= 100 or abs(made - rows) <= 0.05 * rows, table.id


def test_a_prefix_stays_beside_what_is_there(new_database: NewDatabase, tmp_path: Path) -> None:
    source, target = new_database("source"), new_database("copy")
    setup = """
        CREATE TYPE mood AS ENUM ('sad', 'happy');
        CREATE SCHEMA sales;
        CREATE TABLE city (id serial PRIMARY KEY, city text NOT NULL DEFAULT 'city', mood mood DEFAULT 'sad', CONSTRAINT once UNIQUE (city));
        CREATE TABLE sales.shop (no int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, city int REFERENCES city (id), opened date NOT NULL);
        CREATE INDEX shop_city ON sales.shop (city);
        CREATE VIEW big AS SELECT city FROM city;
    """
    rows = """
        INSERT INTO city (city) SELECT 'c' || i FROM generate_series(1, 9) i;
        INSERT INTO sales.shop (city, opened) SELECT id, '2024-01-01' FROM city
    """
    for url in (source, target):
        with psycopg.connect(url) as connection:
            connection.execute((setup + rows).encode())
    schema, bundle, identity = bundle_of(source, tmp_path / "a")
    before = dump(target)

    def export(**options: str) -> ExportResult:
        return export_database(schema, schema, bundle, ExportConfig(url=target, prefix="syn_", **options), source_identity=identity)  # type: ignore[arg-type]

    for _ in range(2):
        result = export()
        assert any("view" in loss for loss in result.losses)
        assert result.rows == {"syn_city": 9, "sales.syn_shop": 9}
        assert one(target, "SELECT count(*) FROM sales.syn_shop s JOIN syn_city c ON c.id = s.city WHERE c.mood = 'sad'") == 9
    assert one(target, "INSERT INTO syn_city (city) VALUES ('new') RETURNING id") == 10
    assert one(target, "INSERT INTO city (city) VALUES ('new') RETURNING id") == 10  # the other's sequence did not move
    with pytest.raises(ExportError, match="syn_city"):
        export(mode="create")
    with psycopg.connect(target) as connection:
        connection.execute("DROP TABLE sales.syn_shop, syn_city; DROP SEQUENCE IF EXISTS syn_city_id_seq")
    assert dump(target) == before


def test_extensions_move_with_their_schema_and_an_owner_without_further_rights_is_enough(new_database: NewDatabase, tmp_path: Path) -> None:
    source, target, role = new_database("source"), new_database("copy"), f"owner_{os.urandom(3).hex()}"
    with psycopg.connect(source) as connection:
        connection.execute("""
            CREATE EXTENSION citext;
            CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, mail citext UNIQUE, note text);
            INSERT INTO t (mail) SELECT 'P' || i || '@example.org' FROM generate_series(1, 20) i;
        """)
    name = make_url(target).database
    owner = target.replace("postgres@", f"{role}@")
    with psycopg.connect(target, autocommit=True) as admin:
        admin.execute(f'CREATE ROLE {role} LOGIN; ALTER DATABASE "{name}" OWNER TO {role}'.encode())
        try:
            assert exported(source, owner, tmp_path / "a").losses == ()
            assert dump(target).replace(role, "postgres") == dump(source)
            with pytest.raises(ExportError, match="extension citext"):  # whose objects belong to the superuser, so that only one can move them
                exported(source, owner, tmp_path / "b")
            assert one(target, "SELECT count(*) FROM t WHERE mail = 'p7@EXAMPLE.org'") == 1
            for i in range(2):
                assert exported(source, target, tmp_path / f"c{i}").same_schema
            assert one(target, "SELECT count(*) FROM t WHERE mail = 'p7@EXAMPLE.org'") == 1
            admin.execute("DROP TABLE t; DROP EXTENSION citext")
            plain = new_database("plain")
            with psycopg.connect(plain) as connection:
                connection.execute("CREATE TABLE t (id serial PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5)")
            for i in range(2):
                assert exported(plain, owner, tmp_path / f"d{i}").same_schema
        finally:
            for sql in (f'ALTER DATABASE "{name}" OWNER TO postgres', f"REASSIGN OWNED BY {role} TO postgres", f"DROP ROLE {role}"):
                admin.execute(sql.encode())


def test_made_up_text_for_types_with_a_grammar_is_replaced_before_it_is_loaded(new_database: NewDatabase, tmp_path: Path) -> None:
    import pyarrow as pa

    source, target = new_database("source"), new_database("copy")
    with psycopg.connect(source) as connection:
        connection.execute("""
            CREATE TABLE t (id int PRIMARY KEY, place inet NOT NULL, span int4range, words tsvector NOT NULL, doc json, bits bit(3) NOT NULL)
        """)
    with closing(connect(source)) as connector:
        schema, identity = connector.reflect(), connector.identity()
    with BundleWriter(tmp_path / "b", schema) as writer:
        rows = {
            "id": [1, 2, 3], "place": ["10.0.0.1", "999.1.1.1", "x"], "span": ["[9,1]", "nonsense", None], "words": ["'a':0", "'b':1", "'c':2"],
            "doc": ["{", '{"a": 1}', None], "bits": ["999", "12", "7"],
        }  # fmt: skip
        writer.write("t", pa.table(rows, schema=writer.arrow_schema("t")))
    bundle = TableBundle.open(tmp_path / "b")
    export_database(schema, schema, bundle, ExportConfig(url=target), source_identity=identity)
    with psycopg.connect(target) as connection:
        found = connection.execute("SELECT host(place), span::text, words::text, doc::text, bits::text FROM t ORDER BY id").fetchall()
    assert found == [
        ("10.0.0.1", None, "'b':1", '{"a": 1}', "000"), ("10.0.0.1", None, "'b':1", '{"a": 1}', "000"), ("10.0.0.1", None, "'c':2", None, "000"),
    ]  # fmt: skip
