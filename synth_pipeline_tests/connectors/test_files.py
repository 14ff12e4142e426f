"""A folder of files as source and target: types, keys found, whole runs, atomic replacement, clear refusals."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from synth_pipeline import pipeline
from synth_pipeline.artifacts import ArtifactStore, BundleWriter, TableBundle, arrow_schema
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.config import ExportConfig, SourceConfig
from synth_pipeline.connectors import connect, open_target
from synth_pipeline.errors import ConfigError, ExportError, SourceError, SynthPipelineError, UnreachableError
from synth_pipeline.export import export_database
from synth_pipeline_tests.helpers import bundle_of


def read(folder: Path) -> tuple[DatabaseSchema, dict[str, pa.Table]]:
    connector = connect(f"files://{folder}")
    try:
        schema = connector.reflect()
        with connector.snapshot() as snapshot:
            return schema, {t.id: pa.Table.from_batches(snapshot.rows(t), arrow_schema(schema, t.id)) for t in schema.tables}
    finally:
        connector.close()


def shop(folder: Path, parquet: bool = False) -> Path:
    """Two related tables: customers, and a few orders of each."""
    folder.mkdir()
    cities = ["Rome", "Oslo", "Bonn"]
    customers = ["id,name,city,zip,since,vip", *(f"{i},Ann {i},{cities[i % 3]},0{i + 1000},2020-01-{i % 28 + 1:02d},{'true' if i % 4 else 'false'}"
                                                 for i in range(1, 61))]  # fmt: skip
    paid = ["" if i % 5 == 0 else f"2024-02-{i % 28 + 1:02d} 10:{i % 60:02d}:00" for i in range(201)]
    orders = ["order_id;customer_id;amount;paid_at;note", *(f"{i};{i % 60 + 1};{i * 1.25:.2f};{paid[i]};" for i in range(1, 201))]
    (folder / "customers.csv").write_text("\n".join(customers) + "\n")
    (folder / "orders.csv").write_text("\n".join(orders) + "\n")
    if parquet:
        for name, delimiter in (("customers", ","), ("orders", ";")):
            rows = csv.read_csv(folder / f"{name}.csv", parse_options=csv.ParseOptions(delimiter=delimiter))
            small = [pa.field(f.name, pa.int32() if pa.types.is_integer(f.type) else f.type) for f in rows.schema]
            pq.write_table(rows.cast(pa.schema(small)), folder / f"{name}.parquet")
            (folder / f"{name}.csv").unlink()
    return folder


def test_types_of_csv_follow_from_all_rows(tmp_path: Path) -> None:
    """One late value decides for the whole column; zip codes keep their zeros, prices their digits."""
    lines = ["id,zip,price,mixed,day,at,flag,text", *(f"{i},{i:05d},{i}.50,{i},2024-01-01,2024-01-01 10:00:00,true,NA" for i in range(1, 3000))]
    (tmp_path / "t.csv").write_text("\n".join([*lines, '3000,00001,2.25,late,,,,""']) + "\n")
    schema, tables = read(tmp_path)
    kinds = {c.name: c.type.kind for c in schema.table("t").columns}
    assert kinds == {
        "id": "integer", "zip": "text", "price": "decimal", "mixed": "text", "day": "date", "at": "datetime", "flag": "boolean", "text": "text",
    }  # fmt: skip
    last = tables["t"].slice(2999).to_pylist()[0]
    assert last["price"] == Decimal("2.25") and last["mixed"] == "late" and last["day"] is None and last["text"] == ""
    first = tables["t"].slice(0, 1).to_pylist()[0]
    assert first["zip"] == "00001" and first["text"] == "NA" and first["at"] == datetime.datetime(2024, 1, 1, 10)


def test_values_of_parquet_come_through_in_their_own_types(tmp_path: Path) -> None:
    moment = datetime.datetime(2024, 5, 6, 7, 8, 9, 123456)
    table = pa.table(
        {
            "i8": pa.array([1, None], pa.int8()), "big": pa.array([2**62, -5], pa.int64()), "f": pa.array([0.5, None], pa.float32()),
            "d": pa.array([Decimal("12.30"), None], pa.decimal128(9, 2)), "s": pa.array(["ü\n", ""], pa.large_string()),
            "c": pa.array(["a", "b"]).dictionary_encode(), "b": pa.array([b"\x00\xff", None], pa.binary()),
            "at": pa.array([moment, None], pa.timestamp("us")), "utc": pa.array([moment, None], pa.timestamp("us", tz="UTC")),
            "day": pa.array([moment.date(), None], pa.date32()), "clock": pa.array([moment.time(), None], pa.time64("us")),
            "yes": pa.array([True, None]), "tags": pa.array([["x", "y"], None], pa.list_(pa.string())), "none": pa.nulls(2),
        }
    )  # fmt: skip
    pq.write_table(table, tmp_path / "t.parquet")
    schema, tables = read(tmp_path)
    found = tables["t"].to_pylist()
    expected = {**table.to_pylist()[0], "tags": '["x", "y"]'}
    assert found[0] == expected and found[1]["s"] == "" and found[1]["big"] == -5
    assert schema.dialect == "sqlite" and schema.table("t").primary_key == ()


def test_a_look_at_declarations_alone_sees_the_same_schema(tmp_path: Path) -> None:
    """The sensor that watches for changes compares the two."""
    folder = shop(tmp_path / "shop")
    connector = connect(f"files://{folder}")
    fast = connector.reflect(values=False).declared_fingerprint()
    assert connector.reflect().declared_fingerprint() == fast
    connector.close()
    (folder / "orders.csv").write_text("order_id\n1\n")
    changed = connect(f"files://{folder}")
    assert changed.reflect(values=False).declared_fingerprint() != fast


def configured(source: str, target: str, **more: object) -> SourceConfig:
    return SourceConfig.model_validate({"name": "shop", "source": {"url": source}, "export": {"url": target}, **more})


@pytest.mark.parametrize("parquet", [False, True])
def test_a_whole_run_gives_a_folder_of_the_same_form(tmp_path: Path, parquet: bool) -> None:
    folder = shop(tmp_path / "shop", parquet)
    config = configured(f"files://{folder}", f"files://{tmp_path / 'out'}")
    for _ in range(2):  # the second run replaces what the first one made
        summary = pipeline.run(config, ArtifactStore(tmp_path / "artifacts"))
    assert summary.integrity is not None and summary.integrity["broken"] == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(p.name for p in folder.iterdir())
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    real, synthetic = read(folder)[1], read(tmp_path / "out")[1]
    for name in real:
        assert synthetic[name].schema == real[name].schema
        assert abs(synthetic[name].num_rows - real[name].num_rows) <= 0.05 * real[name].num_rows
    if parquet:
        assert all(pq.read_schema(tmp_path / "out" / f"{n}.parquet").equals(_plain(pq.read_schema(folder / f"{n}.parquet"))) for n in real)
    else:
        assert (tmp_path / "out" / "orders.csv").read_text().splitlines()[0] == "order_id;customer_id;amount;paid_at;note"
        assert all(len(z) == 5 for z in synthetic["customers"].column("zip").to_pylist())
    keys = set(synthetic["customers"].column("id").to_pylist())
    assert set(synthetic["orders"].column("customer_id").to_pylist()) <= keys and len(keys) == synthetic["customers"].num_rows


def _plain(schema: pa.Schema) -> pa.Schema:
    """What comes back: seconds as microseconds, columns without a value as text."""
    kinds = {pa.timestamp("s"): pa.timestamp("us"), pa.null(): pa.string(), pa.date64(): pa.date32()}
    return pa.schema([pa.field(f.name, kinds.get(f.type, pa.timestamp("us") if pa.types.is_timestamp(f.type) else f.type)) for f in schema])


def test_a_folder_can_be_exported_to_sqlite_with_a_configured_relationship(tmp_path: Path) -> None:
    relationship = {"child": "orders", "columns": ["customer_id"], "parent": "customers", "parent_columns": ["id"]}
    config = configured(f"files://{shop(tmp_path / 'shop')}", f"sqlite:///{tmp_path / 'out.db'}", relationships=[relationship])
    pipeline.run(config, ArtifactStore(tmp_path / "artifacts"), last="sample")
    pipeline.run(config, ArtifactStore(tmp_path / "artifacts"), first="export")
    with closing(sqlite3.connect(tmp_path / "out.db")) as target:
        lost = "SELECT count(*) FROM orders WHERE customer_id NOT IN (SELECT id FROM customers)"
        assert target.execute(lost).fetchone() == (0,)
        assert target.execute("SELECT count(*) FROM customers").fetchone() == (60,)


@pytest.mark.parametrize("format_", ["parquet", "csv"])
def test_a_sqlite_database_can_be_exported_to_a_folder(shared_data: Path, tmp_path: Path, format_: str) -> None:
    """Whatever its tables hold comes back when the files are read; the losses say what files cannot declare."""
    schema, bundle = bundle_of(shared_data / "northwind.db", tmp_path / "bundle")
    target = ExportConfig(url=f"files://{tmp_path / 'out'}?format={format_}")
    result = export_database(schema, schema, bundle, target, source_identity="elsewhere")
    assert result.same_schema and any("declare no keys" in line for line in result.losses)
    back = read(tmp_path / "out")[1]
    assert set(back) == set(schema.table_ids) and all(back[t].num_rows == bundle.rows(t) for t in back)
    for table in schema.tables:
        for column in table.stored_columns:
            if column.type.kind in ("text", "date", "datetime") or (format_ == "parquet" and column.type.kind in ("integer", "float", "binary")):
                mine, theirs = bundle.read(table.id).column(column.name), back[table.id].column(column.name)
                assert [str(v) if v is not None else None for v in mine.to_pylist()] == [
                    (str(v) if v is not None else None) for v in theirs.to_pylist()
                ], f"{table.id}.{column.name}"


def test_odd_texts_survive_csv(tmp_path: Path) -> None:
    texts = ['a"b', "x,y", "two\nlines", "", None, "NULL", "\\N", "  blank ", "ü", "'"]
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"odd, name": texts, "n": list(range(10))}), tmp_path / "in" / "t.parquet")

    schema, tables = read(tmp_path / "in")
    with BundleWriter(tmp_path / "bundle", schema) as writer:
        writer.write("t", tables["t"])
    target = ExportConfig(url=f"files://{tmp_path / 'out'}?format=csv")
    export_database(schema, schema, TableBundle.open(tmp_path / "bundle"), target, source_identity="elsewhere")
    assert read(tmp_path / "out")[1]["t"].column("odd, name").to_pylist() == texts


def test_relative_urls_start_at_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop(tmp_path / "shop")
    (tmp_path / "deep").mkdir()
    shop(tmp_path / "deep" / "shop")
    monkeypatch.chdir(tmp_path)
    for url, folder in (("files://shop", "shop"), ("files://deep/shop", "deep/shop")):
        connector = connect(url)
        assert connector.identity() == f"files:{(tmp_path / folder).resolve()}"
        connector.close()


def require(tmp_path: Path, **options: object) -> None:
    config = SourceConfig.model_validate(
        {"name": "shop", "source": {"url": f"files://{tmp_path / 'shop'}"}, "export": {"url": f"files://{tmp_path / 'out'}", **options}}
    )
    schema = read(tmp_path / "shop")[0]
    pipeline.require_target(config, schema, schema)


def test_what_cannot_be_replaced_is_refused_before_the_work(tmp_path: Path) -> None:
    shop(tmp_path / "shop")
    shop(tmp_path / "out")
    require(tmp_path)
    for options in ({"mode": "append"}, {"mode": "create"}, {"prefix": "x_"}, {"url": f"files://{tmp_path / 'shop'}/."}):
        with pytest.raises(ExportError):
            require(tmp_path, **options)
    (tmp_path / "out" / "thesis.docx").write_text("precious")
    with pytest.raises(ExportError, match=r"thesis\.docx"):
        require(tmp_path)
    assert (tmp_path / "out" / "thesis.docx").read_text() == "precious"


def test_a_failed_export_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "source.db").touch()
    with closing(sqlite3.connect(tmp_path / "source.db")) as connection:
        connection.executescript("CREATE TABLE a (id INTEGER PRIMARY KEY, x INTEGER CHECK (x < 10)); INSERT INTO a VALUES (1, 2);")
    schema, bundle = bundle_of(tmp_path / "source.db", tmp_path / "bundle")
    target = ExportConfig(url=f"files://{tmp_path / 'out'}")
    export_database(schema, schema, bundle, target, source_identity="elsewhere")
    before = (tmp_path / "out" / "a.parquet").read_bytes()

    opened = open_target(target)
    with pytest.raises(ExportError, match="cannot be loaded"), opened.load(schema, in_place=False) as load:
        load.create(schema)
        load.insert(schema.table("a"), [pa.record_batch({"id": pa.array([1]), "x": pa.array([99])})])
    assert (tmp_path / "out" / "a.parquet").read_bytes() == before
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".synth")]


Maker = Callable[[Path], object]


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda p: p.rmdir(), UnreachableError, "cannot be read"),
        (lambda p: (p / "a.csv").write_text(""), SourceError, r"a\.csv"),
        (lambda p: (p / "a.parquet").write_text("no"), SourceError, r"a\.parquet"),
        (lambda p: (p / "a.csv").write_text("x,y\n1,2\n1,2,secret\n"), SourceError, r"a\.csv"),
        (lambda p: (p / "a.csv").write_text("x,X\n1,2\n"), SourceError, "two columns"),
        (lambda p: ((p / "a.csv").write_text("x\n1\n"), (p / "A.parquet").write_text("")), SourceError, "one table"),
        (lambda p: (p / "a.csv").write_bytes(b"x,y\n1,\xff\xfe\n"), SourceError, r"a\.csv"),
    ],
)
def test_a_folder_that_cannot_be_read_is_one_clear_error(tmp_path: Path, make: Maker, error: type[SynthPipelineError], said: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    make(folder)
    with pytest.raises(error, match=said) as caught:
        read(folder)
    assert "secret" not in str(caught.value)


def test_what_is_no_table_is_left_alone_and_an_empty_folder_has_none(tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("hello")
    (tmp_path / "sub").mkdir()
    schema, _ = read(tmp_path)
    assert schema.tables == () and len(schema.warnings) == 2
    with pytest.raises(SourceError, match="no tables"):
        pipeline.reflect(SourceConfig.model_validate({"name": "x", "source": {"url": f"files://{tmp_path}"}}))
    for url in ("files://", f"files://{tmp_path}?password=1"):
        with pytest.raises(ConfigError):
            connect(url)
