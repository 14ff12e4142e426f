"""`hma`: SDV's HMASynthesizer, which models all tables itself, within SDV's limits.

SDV decides everything here: keys, counts, values, personal columns (from Faker, without a look at the source). It knows no
CHECK constraints; what it breaks is refused by the integrity check after sampling, like any other broken rule.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline import __version__
from synth_pipeline.artifacts import BundleWriter, arrow_schema, read_json, write_json
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.errors import ArtifactError, SynthesisError, UsageError, closest
from synth_pipeline.keys import parent_rows
from synth_pipeline.progress import Progress
from synth_pipeline.synthesis.base import SampleRequest, TrainingData
from synth_pipeline.synthesis.parallel import Workers
from synth_pipeline.synthesis.sdv.frames import ColumnForm, forms_of, from_frame, to_frame
from synth_pipeline.synthesis.sdv.limits import refuse
from synth_pipeline.synthesis.sdv.params import HMAParams, checked
from synth_pipeline.synthesis.sdv.runtime import controlled, sdv_module
from synth_pipeline.synthesis.sdv.training import training_rows

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
_DOCUMENT, _MODEL, _DICTIONARIES = "sdv.json", "hma.pkl", "dictionaries.arrow"
_REMEDY = "Use `synthesizer: {name: relational}`, or exclude the tables that SDV cannot learn from."

Forms = dict[str, dict[str, ColumnForm]]


class HMASynthesizer:
    """SDV's hierarchical model; parameters: see `HMAParams`."""

    name = "hma"

    def fit(self, data: TrainingData, params: Mapping[str, Any], *, privacy: str, seed: int, workers: Workers, progress: Progress) -> FittedHMA:
        from synth_pipeline.metadata.sdv import to_sdv

        options, start, schema = checked(HMAParams, params, self.name), time.perf_counter(), data.schema
        tables, primary = _training_tables(data), {t: m.primary_key for t, m in data.metadata.tables.items()}
        holes = {(t, c) for t, rows in tables.items() for c in rows.column_names if rows.column(c).null_count}
        refuse(schema, primary, {t: rows.num_rows for t, rows in tables.items()}, holes, data.preserve)
        entries = to_sdv(data.metadata)[0]["tables"]
        forms: Forms = {}
        for table in schema.tables:
            keys = {c for key in table.keys for c in key} | {c for f in schema.foreign_keys for t, cs in _ends(f) if t == table.id for c in cs}
            forms[table.id] = forms_of(table, data.metadata.tables[table.id], entries[table.id]["columns"], tables[table.id], keys)
        frames = {f"t{i}": to_frame(tables[t], forms[t]) for i, t in enumerate(schema.table_ids)}
        with progress.step("fit hma") as step:
            model = self._fit(_metadata(schema, primary, forms), frames, options, seed)
            step.advance()
        empty = [
            f"{t}.{c}" for t, columns in forms.items() for c, f in columns.items()
            if f.form == "null" and tables[t].column(c).null_count < tables[t].num_rows
        ]  # fmt: skip
        warnings = [f"hma: SDV cannot hold {', '.join(empty)}: always NULL"] if empty else []
        if any(t.checks for t in schema.tables):
            warnings.append("hma: SDV knows no CHECK constraints; rows that break one are refused after sampling")
        info = {
            "synthesizer": self.name, "rows": {t: rows.num_rows for t, rows in tables.items()}, "seconds": round(time.perf_counter() - start, 3),
            "rules": [], "warnings": warnings, "seed": seed, "params": options.model_dump(), "privacy": privacy, "package_version": __version__,
            "sdv_version": version("sdv"), "population": dict(data.population.rows),
        }  # fmt: skip
        return FittedHMA(model, schema, forms, info)

    @staticmethod
    def _fit(metadata: dict[str, Any], frames: dict[str, pd.DataFrame], options: HMAParams, seed: int) -> Any:
        sdv = sdv_module("multi_table")
        try:
            with controlled(seed):
                held = sdv_module("metadata").Metadata.load_from_dict(metadata)
                model = sdv.HMASynthesizer(held, locales=options.locales, verbose=False)
                own = {"enforce_min_max_values": options.enforce_min_max_values, "enforce_rounding": options.enforce_rounding}
                children = {r["child_table_name"] for r in metadata["relationships"]}
                for table in frames:
                    default = "norm" if table in children else "beta"  # SDV's own choice
                    model.set_table_parameters(table, {**own, "default_distribution": options.default_distribution or default})
                model.fit(frames)
        except Exception as e:  # of many kinds, and with values of the source in their messages
            raise SynthesisError(f"SDV's HMA could not learn these tables ({type(e).__name__}).", _REMEDY) from None
        return model

    def load(self, directory: Path) -> FittedHMA:
        """Reads what `save` wrote. Unpickles code: only load what you trust."""
        document = read_json(directory / _DOCUMENT, "fitted synthesizer")
        if document.get("format") != FORMAT or document.get("name") != self.name:
            raise ArtifactError(f"The fitted synthesizer in {directory} is no {self.name!r} of this version.", "Fit it again.")
        try:
            with pa.memory_map(str(directory / _DICTIONARIES)) as source:
                stored = pa.ipc.open_file(source).read_all()
            forms: Forms = {t: {c: ColumnForm(**f) for c, f in columns.items()} for t, columns in document["forms"].items()}
            for table, columns in forms.items():
                for column, form in columns.items():
                    if form.form == "code":
                        form.dictionary = stored.column(f"{table}\0{column}")[0].values
            with controlled(0):
                model = sdv_module("utils").load_synthesizer(str(directory / _MODEL))
            return FittedHMA(model, DatabaseSchema.from_dict(document["schema"]), forms, document["info"])
        except Exception as e:
            raise ArtifactError(f"The fitted synthesizer in {directory} is damaged ({type(e).__name__}).", "Fit it again.") from e


class FittedHMA:
    """A fitted HMA model."""

    def __init__(self, model: Any, schema: DatabaseSchema, forms: Forms, info: dict[str, Any]) -> None:
        self._model, self._schema, self._forms = model, schema, forms
        self.info = info
        self.schema_fingerprint = schema.fingerprint()

    def sample(self, request: SampleRequest, writer: BundleWriter, progress: Progress) -> None:
        if request.scale <= 0:
            raise UsageError(f"The scale must be more than 0, not {request.scale}.")
        for table in request.rows:
            if table not in self._schema:
                raise UsageError(f"There is no table {table!r} to sample.", closest(table, self._schema.table_ids))
        if request.rows:
            raise UsageError(
                "SDV's HMA cannot give single tables their own number of rows.", "Use `sample.scale`, or `synthesizer: {name: relational}`."
            )
        # HMA knows only the rows that it learnt from; the database may have more.
        wanted = sum(self.info["population"].get(t, n) for t, n in self.info["rows"].items())
        scale = request.scale * wanted / sum(self.info["rows"].values())
        try:
            with progress.step("sample hma"), controlled(request.seed), _seeded(request.seed):
                self._model.reset_sampling()
                self._model._numpy_seed = request.seed % 2**32
                frames = self._model.sample_scale(scale)
        except Exception as e:
            raise SynthesisError(f"SDV's HMA could not sample ({type(e).__name__}).", _REMEDY) from None
        for number, one in enumerate(self._schema.tables):
            writer.write(one.id, from_frame(frames[f"t{number}"], one, arrow_schema(self._schema, one.id), self._forms[one.id]))

    def save(self, directory: Path) -> None:
        """Writes SDV's model by its own `save`, which is a pickle, and what turns its rows into ours as plain data."""
        self._model.save(str(directory / _MODEL))
        codes = {f"{t}\0{c}": f.dictionary for t, columns in self._forms.items() for c, f in columns.items() if f.dictionary is not None}
        lists = pa.table({name: pa.ListArray.from_arrays(pa.array([0, len(d)], pa.int32()), d) for name, d in codes.items()})
        with pa.OSFile(str(directory / _DICTIONARIES), "wb") as sink, pa.ipc.new_file(sink, lists.schema) as file:
            file.write_table(lists)
        forms = {t: {c: {"name": f.name, "form": f.form, "entry": f.entry} for c, f in columns.items()} for t, columns in self._forms.items()}
        write_json(directory / _DOCUMENT, {"format": FORMAT, "name": "hma", "schema": self._schema.to_dict(), "forms": forms, "info": self.info})


def _ends(fk: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (fk.table, fk.columns), (fk.parent, fk.parent_columns)


def _training_tables(data: TrainingData) -> dict[str, pa.Table]:
    """The training rows; those whose parent is not among them lose the key, or go where it is required."""
    schema = data.schema
    tables = {t: data.bundle.read(t) for t in schema.table_ids}
    tables = {t: rows.filter(training_rows(data.bundle, t, rows.num_rows)) for t, rows in tables.items()}
    for group in schema.levels():
        for table_id in group:
            for fk in schema.table(table_id).foreign_keys:
                if fk.parent not in schema:
                    continue
                rows, parent = tables[table_id], tables[fk.parent]
                index: Any = pa.array(parent_rows([rows.column(c) for c in fk.columns], [parent.column(c) for c in fk.parent_columns]))
                found = pc.greater_equal(index, 0)
                if schema.nullable(fk):
                    for column in (c for c in fk.columns if schema.table(table_id).column(c).nullable):
                        at = rows.schema.get_field_index(column)
                        rows = rows.set_column(
                            at, rows.schema.field(at), pc.if_else(found, rows.column(at), pa.scalar(None, rows.schema.field(at).type))
                        )
                    tables[table_id] = rows
                else:
                    tables[table_id] = rows.filter(found)
    return tables


def _metadata(schema: DatabaseSchema, primary: Mapping[str, tuple[str, ...]], forms: Forms) -> dict[str, Any]:
    names = {t: f"t{i}" for i, t in enumerate(schema.table_ids)}
    tables: dict[str, Any] = {}
    for table in schema.tables:
        columns = forms[table.id]
        held = {f.name: f.entry for f in columns.values() if f.form != "null"}
        tables[names[table.id]] = entry = {"columns": held}
        foreign = {c for f in schema.foreign_keys if f.table == table.id for c in f.columns}
        unique = [k[0] for k in table.keys if len(k) == 1 and k[0] not in foreign]
        # SDV takes further keys only beside a primary key.
        key = primary[table.id][0] if len(primary[table.id]) == 1 else next(iter(unique), None)
        if key is not None:
            entry["primary_key"] = columns[key].name  # type: ignore[assignment]
            if others := [columns[c].name for c in unique if c != key]:
                entry["alternate_keys"] = others  # type: ignore[assignment]
    relationships = [
        {
            "parent_table_name": names[f.parent], "parent_primary_key": forms[f.parent][f.parent_columns[0]].name,
            "child_table_name": names[f.table], "child_foreign_key": forms[f.table][f.columns[0]].name,
        }
        for f in schema.foreign_keys
    ]  # fmt: skip
    return {"METADATA_SPEC_VERSION": "V2", "tables": tables, "relationships": relationships}


class _Ordered(set):  # type: ignore[type-arg]
    """A set of names that is gone through in one order, whatever the process."""

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(super().__iter__()))

    def __sub__(self, other: Any) -> _Ordered:
        return _Ordered(set(self).difference(other))


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Makes SDV's sampling depend on `seed` and on nothing else.

    SDV seeds every table with one constant, and goes through root tables in the order of a set, which differs between
    processes; both are module globals, replaced while it runs.
    """
    base, sampler = sdv_module("single_table.base"), sdv_module("sampling.hierarchical_sampler")
    constant = base.FIXED_RNG_SEED
    base.FIXED_RNG_SEED, sampler.set = seed % 2**32, _Ordered
    try:
        yield
    finally:
        base.FIXED_RNG_SEED = constant
        del sampler.set
