"""What the synthetic rows give away about real ones, measured: copies, replayed personal values, distances, rare categories.

Everything is counted per table; no value is kept. The level is that of the weakest table. Distances are evidence, not proof: what
protects people is how the synthesizer works, and that does not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from synth_pipeline.quality.disclosure import Disclosure, measure_disclosure
from synth_pipeline.quality.frames import FEW
from synth_pipeline.quality.points import ranks_of, standing

if TYPE_CHECKING:
    import numpy as np

    from synth_pipeline.artifacts import TableBundle
    from synth_pipeline.quality.frames import Frame, TableFrame

    Array = np.ndarray[Any, Any]

LEVELS = ("At risk", "Normal", "Good", "Very Good", "Excellent")
FEWEST_ROWS = 50
FEWEST_FEATURES = 3
COPY_FEATURES = 4
FEWEST_COPIES = 20
"""In a smaller table there is hardly a row to be made that is not one of its own."""
NEAREST_TO = 200_000
NEAREST_FROM = 800
GROUPS = 10
ONE_HOT = 30


@dataclass
class TablePrivacy:
    """Figures of one table; shares in 0..1, None where they cannot be measured.

    Attributes:
        copied: share of the `copied_rows` synthetic rows equal to a training row in every compared column (tables with four
            or more).
        copied_expected: the same for held-out rows, or, without these, for real rows among the other real rows.
        nearer: share of synthetic rows nearer to a training row than to a held-out row (0.5 is ideal), with its 95 % interval.
        replayed: synthetic rows with a personal value that fewer than ten real rows hold; `replayed_columns` says where.
        texts_replayed: share of synthetic free texts that equal a training row's text which fewer than ten rows hold;
            `texts_expected` the same for held-out rows, or, without these, for real rows among the other real rows;
            `texts_columns` says where, and how often.
        rare, rare_kept: real categories with fewer than ten rows, and how many of them the synthetic rows hold.
        unique_combinations: share of synthetic rows whose combination of categories exactly one training row has;
            `unique_expected` the same for held-out rows.
        disclosure: how well columns can be guessed from the synthetic rows, those marked sensitive first.
        unmeasured: columns marked sensitive whose values are not compared, or not without more held-out rows.
    """

    table: str
    preserved: bool = False
    copied: float | None = None
    copied_expected: float | None = None
    copied_rows: int = 0
    nearer: float | None = None
    nearer_low: float | None = None
    nearer_high: float | None = None
    nearer_rows: int = 0
    replayed: int = 0
    replayed_columns: dict[str, int] = field(default_factory=dict)
    personal_columns: int = 0
    texts_replayed: float | None = None
    texts_expected: float | None = None
    texts_columns: dict[str, int] = field(default_factory=dict)
    rare: int = 0
    rare_kept: int = 0
    unique_combinations: float | None = None
    unique_expected: float | None = None
    disclosure: list[Disclosure] = field(default_factory=list)
    unmeasured: list[str] = field(default_factory=list)
    level: str | None = None
    reason: str = ""


def measure(
    frame: Frame, real: TableBundle, synthetic: TableBundle, *, preserved: Collection[str] = (), mechanisms: str = "standard"
) -> list[TablePrivacy]:
    """The figures of every table; `mechanisms` is the privacy level that the synthesizer ran with, or `unknown`."""
    found = []
    for table in frame.tables.values():
        figures = TablePrivacy(table.id, preserved=table.id in preserved, personal_columns=len(table.personal))
        _replay(table, real, synthetic, figures)
        if not figures.preserved and table.real.rows and table.synthetic.rows:
            _copies(frame, table, figures)
            _nearest(frame, table, figures)
            _rare(table, figures)
            figures.disclosure = measure_disclosure(frame, table)
        _unmeasured(frame, table, figures)
        figures.level, figures.reason = _level(figures, mechanisms)
        found.append(figures)
    return found


def _unmeasured(frame: Frame, table: TableFrame, figures: TablePrivacy) -> None:
    about = frame.metadata.tables[table.id].columns if table.id in frame.metadata.tables else {}
    measured = {d.column for d in figures.disclosure}
    figures.unmeasured = [c for c, m in about.items() if m.sensitive and c not in measured]


def overall(tables: Sequence[TablePrivacy]) -> str | None:
    """The level of the weakest table; None where no table could be judged."""
    known = [LEVELS.index(t.level) for t in tables if t.level is not None]
    return LEVELS[min(known)] if known else None


def _level(t: TablePrivacy, mechanisms: str) -> tuple[str | None, str]:
    excess = _excess(t)
    if t.replayed:
        return LEVELS[0], f"{t.replayed:,} {'row repeats' if t.replayed == 1 else 'rows repeat'} a personal value of the source"
    if t.preserved:
        return None, "preserved: its real rows are copied on purpose"
    if t.copied is None and t.nearer is None and t.texts_replayed is None and not t.personal_columns:
        return None, "nothing to measure"
    if excess > 0.1:
        return LEVELS[0], f"at least {excess:.0%} more rows equal a real row than chance explains"
    if t.nearer_low is not None and t.nearer_low > 0.6:
        return LEVELS[0], f"{t.nearer:.0%} of the rows lie nearer to a training row than to a held-out row"
    if guessed := _guessed(t, 0.1):
        return LEVELS[0], guessed
    if excess > 0.02:
        return LEVELS[1], f"at least {excess:.1%} more rows equal a real row than chance explains"
    if t.nearer_low is not None and t.nearer_low > 0.52:
        return LEVELS[1], f"{t.nearer:.0%} of the rows lie nearer to a training row than to a held-out row"
    if guessed := _guessed(t, 0.03):
        return LEVELS[1], guessed
    if (t.texts_replayed or 0.0) - (t.texts_expected or 0.0) > 0.1:
        where = ", ".join(sorted(t.texts_columns, key=lambda c: -t.texts_columns[c])[:3])
        real = f"{t.texts_expected or 0:.0%} of real ones do"
        return LEVELS[1], f"{t.texts_replayed:.0%} of the texts ({where}) repeat one that few real rows have; {real}"
    if mechanisms == "none":
        return LEVELS[2], "no leak measured; the synthesizer's protections were off"
    if mechanisms == "unknown":
        if t.nearer is None:
            return LEVELS[1], "no leak seen, but without held-out rows little can be measured"
        return LEVELS[2], "no leak measured; how the rows were made is not known"
    if t.nearer is None:
        return LEVELS[2], "no leak measured; too few held-out rows to measure distances"
    if mechanisms == "strict":
        return LEVELS[4], "no leak measured; strict protections"
    return LEVELS[3], "no leak measured; standard protections"


def _excess(t: TablePrivacy) -> float:
    """How much larger the share of copied rows is than expected, at the lower end of its 95 % interval (Agresti and Coull 1998)."""
    if t.copied is None or t.copied_expected is None or not t.copied_rows:
        return 0.0
    n = t.copied_rows + 4
    p = (t.copied * t.copied_rows + 2) / n
    return max(0.0, float(p - 1.96 * (p * (1 - p) / n) ** 0.5) - t.copied_expected)


def _guessed(t: TablePrivacy, least: float) -> str | None:
    """In words, the column that is guessed right clearly more often for rows that were learned from than for others."""
    worst = max(t.disclosure, key=lambda d: d.low, default=None)
    if worst is None or worst.low <= least:
        return None
    return f"{worst.column} is guessed right for {worst.learned:.0%} of the rows learned from, but for {worst.unseen:.0%} of others"


# --- personal values ---------------------------------------------------------------------------------------------------


def _replay(table: TableFrame, real: TableBundle, synthetic: TableBundle, figures: TablePrivacy) -> None:
    import numpy as np

    hit = np.zeros(table.synthetic.rows, dtype=bool)
    stored = set(real.read(table.id, []).schema.names) if table.real.rows == 0 else None
    for column in table.personal:
        if stored is not None or column not in table.real.nulls:
            continue
        found = _equal_to_rare(real.read(table.id, [column]).column(0), synthetic.read(table.id, [column]).column(0), personal=True)
        if found is not None and found.any():
            figures.replayed_columns[column] = int(found.sum())
            hit |= found
    figures.replayed = int(hit.sum())
    _texts(table, real, synthetic, figures)


def _texts(table: TableFrame, real: TableBundle, synthetic: TableBundle, figures: TablePrivacy) -> None:
    """Rare texts that come again, beside how often real texts do."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    repeated, expected = np.zeros(2), np.zeros(2)  # (equal to a rare text, all)
    for column in table.texts:
        if column in table.personal or table.real.rows == 0:
            continue
        values: Any = real.read(table.id, [column]).column(0)
        held = pa.array(table.holdout)
        training, made = values.filter(pc.invert(held)), synthetic.read(table.id, [column]).column(0)
        found = _equal_to_rare(training, made, personal=False)
        if found is None:
            continue
        repeated += (found.sum(), len(made) - made.null_count)
        if found.any():
            figures.texts_columns[column] = int(found.sum())
        if table.holdout.sum() >= FEWEST_ROWS:
            unseen = values.filter(held)
            again = _equal_to_rare(training, unseen, personal=False)
            expected += (0 if again is None else again.sum(), len(unseen) - unseen.null_count)
        else:
            counts = pc.value_counts(values.drop_null()).field("counts").to_numpy()
            expected += (counts[(counts > 1) & (counts < FEW)].sum(), counts.sum())
    figures.texts_replayed = float(repeated[0] / repeated[1]) if repeated[1] else None
    figures.texts_expected = float(expected[0] / expected[1]) if expected[1] else None


def _equal_to_rare(real: Any, synthetic: Any, *, personal: bool) -> Array | None:
    """Which synthetic values equal a real one that fewer than ten rows hold; None where equality says nothing.

    Dates, and numbers that are not spread thinly, coincide by chance; distances speak for these.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_temporal(real.type) or pa.types.is_boolean(real.type):
        return None
    counts = pc.value_counts(real.drop_null())
    values, times = counts.field("values"), counts.field("counts")
    if not (pa.types.is_string(real.type) or pa.types.is_binary(real.type)) and not (personal and _identifying(values)):
        return None
    rare = values.filter(pc.less(times, FEW))
    if pa.types.is_string(real.type):
        rare, synthetic = (pc.utf8_lower(pc.utf8_trim_whitespace(v)) for v in (rare, synthetic))
        rare = rare.filter(pc.greater(pc.utf8_length(rare), 1))
    elif pa.types.is_binary(real.type):
        rare = rare.filter(pc.greater(pc.binary_length(rare), 3))  # so few bytes are met by chance
    found = pc.is_in(pc.cast(synthetic, rare.type, safe=False), value_set=rare, skip_nulls=True)
    return np.asarray(found.to_numpy(), dtype=bool)


def _identifying(numbers: Any) -> bool:
    """Whether whole numbers lie so far apart that one met by chance is unlikely, as numbers of cards and phones do."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = pa.types.is_integer(numbers.type) or (pa.types.is_decimal(numbers.type) and numbers.type.scale == 0)
    if not whole or len(numbers) == 0:
        return False
    ends = pc.min_max(numbers).as_py()
    return bool(len(numbers) < 0.001 * (int(ends["max"]) - int(ends["min"]) + 1))


# --- copies ------------------------------------------------------------------------------------------------------------


def _codes(arrays: Sequence[Array]) -> Array:
    """One code per row, equal exactly where the rows are; NaN equals NaN."""
    import numpy as np

    total = np.zeros(len(arrays[0]), dtype=np.int64)
    for values in arrays:
        codes = np.unique(values, return_inverse=True, equal_nan=True)[1]
        total = np.unique(total * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)[1]
    return total


def _copies(frame: Frame, table: TableFrame, figures: TablePrivacy) -> None:
    import numpy as np

    if len(table.features) < COPY_FEATURES or table.real.rows < FEWEST_COPIES:
        return
    n = table.real.rows
    codes = _codes([np.concatenate([table.real.values[f], table.synthetic.values[f]]) for f in table.features])
    real, made = codes[:n], codes[n:]
    training, held = real[~table.holdout], real[table.holdout]
    figures.copied, figures.copied_rows = float(np.isin(made, training).mean()), len(made)
    if len(held) >= FEWEST_ROWS:
        figures.copied_expected = float(np.isin(held, training).mean())
    else:
        figures.copied_expected = float((np.bincount(real)[real] > 1).mean())


def _rare(table: TableFrame, figures: TablePrivacy) -> None:
    import numpy as np

    categories = [f for f in table.features.values() if f.kind == "category"]
    for feature in categories:
        counts = np.bincount(table.real.values[feature.name], minlength=feature.size)[1:]
        made = np.bincount(table.synthetic.values[feature.name], minlength=feature.size)[1:]
        rare = (counts > 0) & (counts < FEW)
        figures.rare += int(rare.sum())
        figures.rare_kept += int((rare & (made > 0)).sum())
    if len(categories) < 2:
        return
    n = table.real.rows
    codes = _codes([np.concatenate([table.real.values[f.name], table.synthetic.values[f.name]]) for f in categories])
    training = codes[:n][~table.holdout]
    once = np.bincount(training, minlength=int(codes.max()) + 1) == 1
    figures.unique_combinations = float(once[codes[n:]].mean())
    if table.holdout.sum() >= FEWEST_ROWS:
        figures.unique_expected = float(once[codes[:n][table.holdout]].mean())


# --- distances ---------------------------------------------------------------------------------------------------------


def _nearest(frame: Frame, table: TableFrame, figures: TablePrivacy) -> None:
    """Share of synthetic rows nearer to a training row than to a held-out row, as if there were as many of both.

    All training rows are looked at, for a copy is only near to the row that it was taken from. Where neither side is nearer
    by more than its number, the nearest row is a training row in n of n + m cases; the odds are corrected for that. The
    interval covers the entities (jackknife over ten groups of each side) and the synthetic rows that were drawn.
    """
    import numpy as np

    held, training = np.flatnonzero(table.holdout), np.flatnonzero(~table.holdout)
    if len(table.features) < FEWEST_FEATURES or min(len(held), len(training), table.synthetic.rows) < FEWEST_ROWS:
        return
    rows = frame.sample(np.arange(table.synthetic.rows), NEAREST_FROM, table.id, "nearest")
    encode, rng = _Encoder(table), frame.random(table.id, "groups")
    points = encode(table.synthetic.values, rows)
    distances, sizes = [], []
    for side in (frame.sample(training, NEAREST_TO, table.id, "training"), frame.sample(held, NEAREST_TO, table.id, "held")):
        group = _groups(side, table.entity, rng)
        distances.append(np.stack([_distance(points, encode(table.real.values, side[group == g])) for g in range(GROUPS)]))
        sizes.append(np.bincount(group, minlength=GROUPS))

    def share(kept: Array) -> tuple[float, float]:
        """The raw share and the one with the odds corrected."""
        to_training, to_held = (d[kept].min(0) for d in distances)
        raw = float(np.where(np.isclose(to_training, to_held, atol=1e-9), 0.5, to_training < to_held).mean())
        ratio = sizes[0][kept].sum() / max(1, sizes[1][kept].sum())
        return raw, raw / (raw + (1 - raw) * ratio)

    everything = np.ones(GROUPS, dtype=bool)
    raw, figure = share(everything)
    without = np.array([share(everything & (np.arange(GROUPS) != g))[1] for g in range(GROUPS)])
    spread = (GROUPS - 1) / GROUPS * ((without - without.mean()) ** 2).sum()
    ratio = sizes[0].sum() / sizes[1].sum()
    slope = ratio / (raw + (1 - raw) * ratio) ** 2
    error = 1.96 * float(np.sqrt(slope**2 * raw * (1 - raw) / len(rows) + spread))
    figures.nearer, figures.nearer_rows = figure, len(rows)
    figures.nearer_low, figures.nearer_high = max(0.0, figure - error), min(1.0, figure + error)


def _groups(rows: Array, entity: Array | None, rng: Any) -> Array:
    """A group for every row, whole root entities where these are known."""
    import numpy as np

    owners = rows if entity is None or (entity[rows] < 0).any() else entity[rows]
    _, place = np.unique(owners, return_inverse=True)
    return np.asarray((rng.permutation(int(place.max()) + 1) % GROUPS)[place])


class _Encoder:
    """Rows as points: ranks in 0..1 of the real values, categories one-hot so that a difference counts as one."""

    def __init__(self, table: TableFrame) -> None:
        self._features, self._ranks = list(table.features.values()), ranks_of(table)

    def __call__(self, values: dict[str, Array], rows: Array) -> Array:
        import numpy as np

        parts = []
        for feature in self._features:
            x = values[feature.name][rows]
            if feature.kind == "category":
                parts.append(np.eye(ONE_HOT + 1)[np.minimum(x, ONE_HOT)][:, : min(feature.size, ONE_HOT + 1)] * np.sqrt(0.5))
            else:
                parts.append(standing(feature, x, self._ranks)[:, None])
        return np.hstack(parts)


def _distance(points: Array, others: Array, block: int = 200) -> Array:
    """Squared Euclidean distance of every point to the nearest of `others`, in blocks; infinite where there is none."""
    import numpy as np

    if len(others) == 0:
        return np.full(len(points), np.inf)

    square = (others**2).sum(1)
    found = [((p**2).sum(1)[:, None] + square - 2 * p @ others.T).min(1) for p in np.array_split(points, max(1, len(points) // block))]
    nearest: Array = np.maximum(0.0, np.concatenate(found))
    return nearest
