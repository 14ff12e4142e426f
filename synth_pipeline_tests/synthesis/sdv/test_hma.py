"""`hma`: databases within SDV's limits come out whole, all others are refused with the limit named."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pyarrow.compute as pc
import pytest

from synth_pipeline import pipeline, stored
from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.config import SourceConfig
from synth_pipeline.errors import ArtifactError, SynthesisError, UsageError
from synth_pipeline.progress import Silent
from synth_pipeline.synthesis.base import FittedSynthesizer, SampleRequest
from synth_pipeline_tests.test_any_schema import synthesize

pytest.importorskip("sdv", reason="SDV is not installed")


def build(path: Path) -> Path:
    """Two parents with keys of two kinds, one child, a column of every form."""
    choose = random.Random(3)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """CREATE TABLE customer (id INTEGER PRIMARY KEY, code CHAR(6) NOT NULL UNIQUE, name TEXT, email TEXT, city TEXT, born DATE, vip BOOLEAN,
                 score DECIMAL(8,2), at TIME, photo BLOB, note TEXT);
               CREATE TABLE product (sku TEXT PRIMARY KEY, price REAL);
               CREATE TABLE purchase (no INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer (id),
                 sku TEXT NOT NULL REFERENCES product (sku),
                 status TEXT NOT NULL CHECK (status IN ('new', 'paid')), amount DECIMAL(10,2) NOT NULL, bought DATETIME NOT NULL, qty INTEGER);"""
        )
        for i in range(1, 41):
            born, at = f"19{choose.randint(50, 99)}-0{choose.randint(1, 9)}-1{choose.randint(0, 9)}", f"{choose.randint(0, 23):02d}:15:00"
            who = (f"Ann{i} Lee{i}", f"p{i}@example.org", choose.choice(["Rome", "Oslo"]), born, choose.randint(0, 1), choose.randint(0, 9999) / 100)
            connection.execute("INSERT INTO customer VALUES (?,?,?,?,?,?,?,?,?,?,?)", (i, f"C{i:05d}", *who, at, b"x", f"words about customer {i}"))
        for i in range(1, 16):
            connection.execute("INSERT INTO product VALUES (?,?)", (f"K{i:03d}", choose.random() * 100))
        for i in range(1, 121):
            bought = f"2024-0{choose.randint(1, 9)}-1{choose.randint(0, 9)} 1{choose.randint(0, 9)}:00:00"
            keys = (i, choose.choice([None, *range(1, 41)]), f"K{choose.randint(1, 15):03d}")
            row = (*keys, choose.choice(["new", "paid"]), choose.randint(100, 9999) / 100, bought, choose.choice([None, 1, 2]))
            connection.execute("INSERT INTO purchase VALUES (?,?,?,?,?,?,?)", row)
        connection.commit()
    return path


Fitted = tuple[FittedSynthesizer, object, Path]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    folder = tmp_path_factory.mktemp("hma")
    url = f"sqlite:///{build(folder / 'shop.db')}"
    config = SourceConfig.model_validate({"name": "shop", "source": {"url": url}, "synthesizer": {"name": "hma"}})
    reflected = pipeline.reflect(config)
    metadata = pipeline.infer(config, reflected)
    working = pipeline.working_schema(config, reflected, metadata)
    for stage in ("subset", "fit"):
        (folder / stage).mkdir()
    subset = pipeline.subset(config, working, metadata, folder / "subset")
    return pipeline.fit(config, working, metadata, subset, folder / "fit"), working, folder


def content(model: FittedSynthesizer, working: object, folder: Path, seed: int, scale: float = 1.0) -> TableBundle:
    with BundleWriter(folder, working) as writer:  # type: ignore[arg-type]
        model.sample(SampleRequest(scale, {}, seed), writer, Silent())
    return TableBundle.open(folder)


def test_a_database_within_the_limits_comes_out_whole(tmp_path: Path) -> None:
    """Rows that are held out for the privacy figures do not make the database smaller."""
    working, bundle, report = synthesize(build(tmp_path / "shop.db"), tmp_path, synthesizer={"name": "hma"})
    assert [(r.rule.text, r.violations) for r in report.results if r.violations] == []
    assert 36 <= bundle.rows("customer") <= 44 and 108 <= bundle.rows("purchase") <= 132
    purchase = bundle.read("purchase")
    assert set(purchase.column("status").to_pylist()) <= {"new", "paid"}
    assert 0 < purchase.column("customer_id").null_count < 40 and 0 < purchase.column("qty").null_count < 110
    real = {f"p{i}@example.org" for i in range(1, 41)} | {f"words about customer {i}" for i in range(1, 41)}
    customer = bundle.read("customer")
    assert not real & set(customer.column("email").to_pylist()) and not real & set(customer.column("note").to_pylist())
    assert customer.column("photo").null_count == customer.num_rows
    told = " ".join(bundle.info["synthesizer"]["warnings"])
    assert "customer.photo" in told and "CHECK" in told
    assert len(working.tables) == 3


def test_a_loaded_model_gives_the_same_rows_and_another_seed_others(fitted: Fitted, tmp_path: Path) -> None:
    model, working, folder = fitted
    first = content(model, working, tmp_path / "a", 4).content_hash
    loaded = stored.load_fitted(folder / "fit")
    assert content(loaded, working, tmp_path / "b", 4).content_hash == first
    assert content(loaded, working, tmp_path / "c", 5).content_hash != first
    assert loaded.info == model.info and loaded.schema_fingerprint == model.schema_fingerprint


def test_the_rows_do_not_depend_on_the_process(fitted: Fitted, tmp_path: Path) -> None:
    """SDV goes through root tables in the order of a set, which differs from process to process."""
    code = (
        "import sys; from pathlib import Path\n"
        "from synth_pipeline import stored; from synth_pipeline.artifacts import BundleWriter; from synth_pipeline.progress import Silent\n"
        "from synth_pipeline.synthesis.base import SampleRequest\n"
        "model = stored.load_fitted(Path(sys.argv[1]))\n"
        "with BundleWriter(Path(sys.argv[2]), model._schema) as writer: model.sample(SampleRequest(1.0, {}, 4), writer, Silent())\n"
    )
    found = set()
    for seed in ("1", "2"):
        command = [sys.executable, "-c", code, str(fitted[2] / "fit"), str(tmp_path / seed)]
        subprocess.run(command, check=True, env={"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}, cwd=Path(__file__).parents[3])
        found.add(TableBundle.open(tmp_path / seed).content_hash)
    assert len(found) == 1


def test_scale_multiplies_every_table_and_rows_of_one_table_are_refused(fitted: Fitted, tmp_path: Path) -> None:
    model, working, _ = fitted
    bundle = content(model, working, tmp_path / "a", 1, 0.5)
    assert 18 <= bundle.rows("customer") <= 22 and 54 <= bundle.rows("purchase") <= 66
    assert set(pc.drop_null(bundle.read("purchase").column("customer_id")).to_pylist()) <= set(bundle.read("customer").column("id").to_pylist())
    for request in (SampleRequest(0.0), SampleRequest(1.0, {"nobody": 1}), SampleRequest(1.0, {"customer": 1})):
        with BundleWriter(tmp_path / "b", working) as writer, pytest.raises(UsageError):  # type: ignore[arg-type]
            model.sample(request, writer, Silent())


def test_a_damaged_model_is_refused(fitted: Fitted, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(fitted[2] / "fit", tmp_path / "fit")
    (tmp_path / "fit" / "model" / "hma.pkl").write_bytes(b"broken")
    with pytest.raises(ArtifactError, match="damaged"):
        stored.load_fitted(tmp_path / "fit")


def test_a_unique_column_stands_in_for_a_missing_primary_key(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        connection.execute("CREATE TABLE a (badge VARCHAR(8) NOT NULL UNIQUE, tag INTEGER UNIQUE, x REAL)")
        connection.executemany("INSERT INTO a VALUES (?, ?, ?)", [(f"B-{i}", 3 * i, i / 7) for i in range(40)])
        connection.commit()
    _, bundle, report = synthesize(tmp_path / "x.db", tmp_path, synthesizer={"name": "hma"})
    assert not any(r.violations for r in report.results) and bundle.rows("a") == 40


@pytest.mark.parametrize(
    ("ddl", "limit"),
    [
        ("CREATE TABLE a (x INTEGER, y INTEGER, PRIMARY KEY (x, y)); INSERT INTO a VALUES (1, 2)", "composite key"),
        ("CREATE TABLE a (id INTEGER PRIMARY KEY, up INTEGER REFERENCES a (id)); INSERT INTO a VALUES (1, NULL)", "refers to itself"),
        (
            "CREATE TABLE a (id INTEGER PRIMARY KEY, b_id INTEGER REFERENCES b (id));"
            "CREATE TABLE b (id INTEGER PRIMARY KEY, a_id INTEGER REFERENCES a (id));"
            "INSERT INTO a VALUES (1, NULL); INSERT INTO b VALUES (1, 1)", "in a cycle",
        ),
        ("".join(f"CREATE TABLE t{i} (id INTEGER PRIMARY KEY); INSERT INTO t{i} VALUES (1);" for i in range(6)), "6 tables, more than 5"),
        (
            "CREATE TABLE a (id INTEGER PRIMARY KEY);"
            + "".join(f"CREATE TABLE {c} (id INTEGER PRIMARY KEY, up INTEGER REFERENCES {p} (id));" for c, p in ("ba", "cb", "dc"))
            + "".join(f"INSERT INTO {t} (id) VALUES (1);" for t in "abcd"), "chain of 4 tables",
        ),
        ("CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)",
         "connects b with a"),
        ("CREATE TABLE a (id INTEGER PRIMARY KEY, x INTEGER)", "no rows"),
        ("CREATE TABLE a (id INTEGER PRIMARY KEY, x INT UNIQUE); INSERT INTO a VALUES (1, 2), (2, NULL)", "a.x is unique and holds NULLs"),
        ("CREATE TABLE a (id INTEGER PRIMARY KEY, x INT NOT NULL UNIQUE); CREATE TABLE b (id INTEGER PRIMARY KEY, a_x INT REFERENCES a (x));"
         "INSERT INTO a VALUES (1, 2); INSERT INTO b VALUES (1, 2)", "refers to a.x, which is not its primary key"),
        ("CREATE TABLE a (id INTEGER PRIMARY KEY, x INT, y INT, UNIQUE (x, y)); INSERT INTO a VALUES (1, 2, 3)", "unique key over several columns"),
        ("CREATE TABLE a (id INTEGER PRIMARY KEY, x BLOB NOT NULL); INSERT INTO a VALUES (1, x'00')", "must not be NULL"),
    ],
)  # fmt: skip
def test_what_sdv_cannot_take_is_named_with_the_remedy(tmp_path: Path, ddl: str, limit: str) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        connection.executescript(ddl)
    with pytest.raises(SynthesisError, match=limit) as caught:
        synthesize(tmp_path / "x.db", tmp_path, synthesizer={"name": "hma"})
    assert "name: relational" in caught.value.remedy
