"""An export into other schemas, of the source's own database or another: the same structure by another name, and nothing else touched."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from synth_pipeline import pipeline
from synth_pipeline.artifacts import ArtifactStore
from synth_pipeline.config import ExportConfig
from synth_pipeline.config_files import load_config, validate
from synth_pipeline.connectors import connect
from synth_pipeline.connectors.postgresql.session import quoted
from synth_pipeline.errors import ConfigError, ExportError
from synth_pipeline.export import ExportResult, export_database
from synth_pipeline_tests.connectors.postgresql import dump, run_sql
from synth_pipeline_tests.export.test_postgresql import HOSTILE, NewDatabase, bundle_of, bundle_without, one

SALES = """
    CREATE SCHEMA sales;
    CREATE SCHEMA tools;
    CREATE EXTENSION citext SCHEMA tools;
    CREATE DOMAIN sales.amount AS numeric(9,2) CHECK (VALUE >= 0);
    CREATE TYPE sales.state AS ENUM ('sales.sales', 'done');
    CREATE SEQUENCE sales.loose;
    SELECT setval('sales.loose', 41);
    CREATE TABLE sales.sales (id serial PRIMARY KEY, sales sales.amount, mail tools.citext, state sales.state DEFAULT 'sales.sales',
        number bigint DEFAULT nextval('sales.loose'), note text DEFAULT 'sales.sales', pair int GENERATED ALWAYS AS IDENTITY);
    CREATE TABLE sales.part (sales int REFERENCES sales.sales (id), n int, PRIMARY KEY (sales, n));
    CREATE TABLE sales.log (id int);
    CREATE VIEW sales.recent AS SELECT sales.id, sales.sales, part.n FROM sales.sales sales JOIN sales.part ON part.sales = sales.id;
    CREATE FUNCTION sales.noted() RETURNS trigger LANGUAGE plpgsql SET search_path TO sales, pg_temp AS $$
        BEGIN INSERT INTO Sales.log VALUES (NEW.id); RETURN NEW; END $$;
    CREATE VIEW sales.many AS SELECT (SELECT count(*) FROM sales.part, sales.sales WHERE sales.sales > 3) AS n, sales.sales::sales.amount
        FROM sales.sales;
    CREATE FUNCTION sales.total() RETURNS numeric LANGUAGE sql BEGIN ATOMIC SELECT sum(s.sales) FROM sales.sales s; END;
    CREATE TRIGGER noted AFTER INSERT ON sales.sales FOR EACH ROW EXECUTE FUNCTION sales.noted();
    COMMENT ON TABLE sales.sales IS 'sales.sales';
    INSERT INTO sales.sales (sales, mail) SELECT i, 'p' || i || '@example.org' FROM generate_series(1, 20) i;
    INSERT INTO sales.part SELECT id, 1 FROM sales.sales;
"""


def exported(
    url: str, schemas: Mapping[str, str] | str, directory: Path, target: str = "", only: tuple[str, ...] = (), **options: str
) -> ExportResult:  # fmt: skip
    """Every row of some schemas of a database, exported to other ones."""
    reflected, bundle, identity = bundle_of(url, directory, only)
    config = ExportConfig.model_validate({"url": target or url, "schemas": schemas, **options})
    return export_database(reflected, reflected, bundle, config, source_identity=identity)


def structure(url: str, names: Mapping[str, str] | None = None, *schemas: str) -> str:
    """What pg_dump says of schemas, under the names that they had, without quotes, empty lines, and what everybody may in `public` anyway."""
    text = dump(url, *(names.values() if names else schemas))
    for old, new in (names or {}).items():
        text = re.sub(rf"(?<!\w){re.escape(new)}(?!\w)", old, text)
    usual = r"(GRANT|REVOKE) (USAGE|ALL) ON SCHEMA|-- Name: SCHEMA .*ACL|CREATE SCHEMA public|-- Name: public; Type: SCHEMA"
    return "\n".join(line for line in text.replace('"', "").splitlines() if line.strip(" -") and not re.match(usual, line))


@pytest.fixture
def hostile(new_database: NewDatabase) -> str:
    url = new_database("hostile")
    run_sql(url, HOSTILE)
    run(url, """COMMENT ON TABLE "Sales Ops"."Order" IS 'what they buy'""")
    return url


@pytest.mark.parametrize("names", [
    {"public": "public_test", "Sales Ops": "Sales Test", "archive": "archive_test"}, {"public": "order", "Sales Ops": "A", "archive": "e"},
])  # fmt: skip
def test_a_schema_of_everything_stands_beside_itself(hostile: str, tmp_path: Path, names: dict[str, str]) -> None:
    whole, before = dump(hostile), structure(hostile, None, *names)
    result = exported(hostile, names, tmp_path / "a", only=tuple(names))
    assert result.losses == () and result.same_schema
    if names["archive"] == "archive_test":  # the others sort differently
        assert structure(hostile, names) == before
    assert structure(hostile, None, *names) == before
    place = quoted(names["public"], "customer")
    columns = "id, code, mail, mood::text, share, tags, doc, raw, place, flags, spot::text, worth, upper_mail"
    same = f"SELECT count(*) FROM (SELECT {columns} FROM {place} INTERSECT SELECT {columns} FROM public.customer) x"
    assert one(hostile, same) == 300
    highest = one(hostile, "SELECT max(id) FROM public.customer")
    assert one(hostile, f"INSERT INTO {place} (share) VALUES (1) RETURNING id") > highest  # type: ignore[operator]
    assert one(hostile, f"SELECT changed FROM {place} ORDER BY id DESC LIMIT 1") is not None  # its own trigger
    with psycopg.connect(hostile, autocommit=True) as connection:
        connection.execute("".join(f"DROP SCHEMA {quoted(n)} CASCADE;" for n in names.values()).encode())
    assert dump(hostile) == whole


def test_sakila_stands_beside_itself_and_elsewhere(shared_data: Path, new_database: NewDatabase, tmp_path: Path) -> None:
    source, other = new_database("sakila"), new_database("other")
    run_sql(source, *(shared_data / "postgresql" / f"sakila-{part}.sql" for part in ("schema", "data")), strict=False)
    before = structure(source, None, "public")
    for target in (source, other):
        result = exported(source, "sakila_test", tmp_path / target[-6:], target, ("public",))
        assert result.same_schema and sum(result.rows.values()) > 40_000
        assert structure(target, {"public": "sakila_test"}) == before
    assert structure(source, None, "public") == before


def test_names_that_look_like_the_schema_are_not_taken_for_it(new_database: NewDatabase, tmp_path: Path) -> None:
    url = new_database("sales")
    run(url, SALES)
    before = dump(url, "sales")
    result = exported(url, "sales_test", tmp_path / "a", only=("sales",))
    assert result.losses == () and result.same_schema
    assert one(url, "SELECT count(*) FROM sales_test.recent WHERE id = sales AND n = 1") == 20
    assert one(url, "SELECT note || state || obj_description('sales_test.sales'::regclass) FROM sales_test.sales LIMIT 1") == "sales.sales" * 3
    run(url, "DELETE FROM sales.part; DELETE FROM sales.sales; DELETE FROM sales.log")
    assert one(url, "SELECT sales_test.total()") == 210
    assert one(url, "INSERT INTO sales_test.sales (sales, mail) VALUES (1, 'P1@example.org') RETURNING id * 1000 + pair") == 21021
    assert one(url, "SELECT number FROM sales_test.sales WHERE id = 21") == 62
    assert (one(url, "SELECT count(*) FROM sales_test.log"), one(url, "SELECT count(*) FROM sales.log")) == (21, 0)
    assert one(url, "SELECT last_value FROM sales.loose") == 61
    assert dump(url, "sales") == before


def test_replacing_and_adding_touch_that_schema_alone_and_readers_see_all_or_nothing(new_database: NewDatabase, tmp_path: Path) -> None:
    url = new_database("sales")
    run(url, SALES + "CREATE SCHEMA mine; CREATE TABLE mine.t AS SELECT 1 AS a;")
    exported(url, "sales_test", tmp_path / "a", only=("sales",))
    before, rest = dump(url, "sales_test"), dump(url, "sales", "mine")
    seen: set[object] = set()
    problems: list[str] = []
    stop = threading.Event()

    def read() -> None:
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
            while not stop.is_set():
                try:
                    tables = ("sales_test.sales", "sales_test.recent", "sales.part")
                    counts = ", ".join(f"(SELECT count(*) FROM {t})" for t in tables)
                    seen.add(connection.execute(f"SELECT {counts}".encode()).fetchone())
                except psycopg.Error as e:
                    problems.append(str(e))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for i in range(3):
            exported(url, "sales_test", tmp_path / f"r{i}", only=("sales",))
    finally:
        stop.set()
        reader.join()
    assert (problems, seen) == ([], {(20, 20, 20)})
    reflected, bundle, identity = bundle_of(url, tmp_path / "b", ("sales",))
    with pytest.raises(ExportError, match="part_sales_fkey"):
        broken = bundle_without(reflected, bundle, tmp_path / "c", "sales.sales")
        export_database(reflected, reflected, broken, ExportConfig(url=url, schemas={"sales": "sales_test"}), source_identity=identity)
    assert dump(url, "sales_test") == before
    exported(url, "sales_test", tmp_path / "d", only=("sales",), mode="append")
    assert (one(url, "SELECT count(*) FROM sales_test.recent"), one(url, "SELECT count(*) FROM sales_test.log")) == (40, 40)  # no trigger fired
    assert dump(url, "sales_test") == before and dump(url, "sales", "mine") == rest
    with pytest.raises(ExportError, match="exists"):
        exported(url, "sales_test", tmp_path / "e", only=("sales",), mode="create")
    assert one(url, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'synth%'") == 0


def test_what_is_read_is_never_written_nor_what_no_export_made(new_database: NewDatabase, tmp_path: Path) -> None:
    url = new_database("sales")
    run(url, SALES + "CREATE SCHEMA mine; CREATE TABLE mine.t AS SELECT 1 AS a; CREATE SCHEMA other; CREATE TABLE other.log (id int);")
    before = dump(url)
    for schemas, only, problem in (
        ({"sales": "sales"}, ("sales",), "schema sales"), ({"sales": "mine"}, ("sales",), r"mine\.t"),
        ({"sales": "x"}, ("sales", "other"), "schema other"), ({"sales": "other", "other": "y"}, ("sales", "other"), "schema other"),
        ({"sales": "mine"}, (), "become 'mine'"), ("x", (), "the source has 5"), ({"sale": "x"}, ("sales",), "'sale'"),
    ):  # fmt: skip
        with pytest.raises((ExportError, ConfigError), match=problem):
            exported(url, schemas, tmp_path / str(problem), only=only)
        assert dump(url) == before
    run(url, "CREATE VIEW sales.all AS SELECT id FROM other.log")
    with pytest.raises(ExportError, match='view sales_test."all".*other.log'):  # it would show what is no copy
        exported(url, "sales_test", tmp_path / "v", only=("sales",))
    run(url, "DROP VIEW sales.all; CREATE FUNCTION sales.f() RETURNS text LANGUAGE sql AS $$ SELECT format('%s.log', 'sales') $$")
    assert "f()" in exported(url, "sales_test", tmp_path / "f", only=("sales",)).losses[0]


def test_a_role_that_may_only_read_the_source_makes_a_copy_beside_it(new_database: NewDatabase, tmp_path: Path) -> None:
    url, role = new_database("sales"), "six_maker"
    run(url, SALES)
    name = url.split("?")[0].rsplit("/", 1)[1]
    run(url, f"CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE {name} TO {role}; GRANT USAGE ON SCHEMA sales, tools TO {role}")
    run(url, f"GRANT SELECT ON ALL TABLES IN SCHEMA sales TO {role}; GRANT SELECT ON ALL SEQUENCES IN SCHEMA sales TO {role}")
    try:
        for i in range(2):
            result = exported(re.sub(r"//\w*@", f"//{role}@", url), "sales_test", tmp_path / str(i), only=("sales",))
            assert result.same_schema and result.rows["sales_test.part"] == 20
    finally:
        run(url, f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_another_family_goes_into_a_schema_too(shared_data: Path, new_database: NewDatabase, tmp_path: Path) -> None:
    source, target = shared_data / "chinook.db", new_database("copy")
    run(target, "CREATE TABLE mine AS SELECT 1 AS a")
    for i in range(2):
        result = exported(f"sqlite:///{source}", "chinook", tmp_path / str(i), target)
        assert result.losses == () and result.same_schema
    assert one(target, "SELECT count(*) FROM public.mine, chinook.\"Track\"") == 3503
    with pytest.raises(ExportError, match="schemas"):
        exported(f"sqlite:///{source}", "x", tmp_path / "y", f"sqlite:///{tmp_path / 'z.db'}")


def test_a_file_says_which_schemas_are_read(new_database: NewDatabase, tmp_path: Path) -> None:
    url, path = new_database("sales"), tmp_path / "sales.yaml"
    run(url, SALES)
    path.write_text(f'source: {{url: "{url}"}}\nexport: {{url: "{url}", schemas: sales_test}}\n')
    assert "source.schemas" in str(validate(path)[0])
    path.write_text(f'source: {{url: "{url}", schemas: [sales]}}\nexport: {{url: "{url}", schemas: [sales_test]}}\n')
    assert "keys and values" in str(validate(path)[0])
    path.write_text(f'source: {{url: "{url}", schemas: [sales]}}\nexport: {{url: "{url}", schemas: {{sales: sales_test}}}}\n')
    config, store = load_config(path), ArtifactStore(tmp_path / "artifacts")
    pipeline.run(config, store, last="sample")
    pipeline.run(config, store, first="export")
    with closing(connect(url, ["sales_test"])) as connector:
        assert {t.id for t in connector.reflect().tables} == {"sales_test.sales", "sales_test.part", "sales_test.log"}


def run(url: str, sql: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.encode())
