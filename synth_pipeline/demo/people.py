"""Clients of the demo and their locations: who they are, where they live, and what they are like but nobody records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth_pipeline.demo import words

CLIENTS, LOCATIONS = 4_000, 5_000
FIRST_DAY, LAST_DAY = np.datetime64("2013-12-01"), np.datetime64("2017-05-31")
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class People:
    """The two tables, and per client what drives the rest: region number, age, business, unreliability (standard normal)."""

    client: Columns
    location: Columns
    region: NDArray[np.int64]
    age: NDArray[np.float64]
    business: NDArray[np.bool_]
    unreliable: NDArray[np.float64]


def make(rng: np.random.Generator) -> People:
    """Draws clients and locations."""
    n = CLIENTS
    shares = np.array([share for share, _ in words.REGIONS.values()])
    region = rng.choice(len(shares), n, p=shares / shares.sum())
    business = rng.random(n) < 0.12
    young = rng.random(n) < 0.45 + 0.02 * (region - 4)
    age = np.clip(np.where(young, rng.normal(29, 6, n), rng.normal(54, 14, n)), 18, 94)
    birth = LAST_DAY - (age * 365.25).astype("timedelta64[D]")
    female = rng.random(n) < 0.51
    generation = np.where(age > 58, 0, np.where(age > 36, 1, 2))
    first = np.empty(n, dtype=object)
    for number, name in enumerate(("old", "middle", "young")):
        for sex, lists in ((True, words.FEMALE), (False, words.MALE)):
            rows = np.flatnonzero((generation == number) & (female == sex))
            first[rows] = _zipf(rng, lists[name], len(rows), 0.6)
    last = np.array([name.replace("_", " ") for name in _zipf(rng, words.LAST, n, 0.8)], dtype=object)
    unreliable = rng.normal(0, 1, n) - 0.02 * (age - 45) - 0.4 * business
    client = {
        "client_id": np.arange(1, n + 1),
        "first_name": first,
        "last_name": last,
        "ssn": _ssn(rng, n),
        "birth_date": birth,
        "sex": null_where(np.where(female, "F", "M").astype(object), business & (rng.random(n) < 0.5)),
        "email": null_where(_email(rng, first, last), rng.random(n) < np.clip((age - 35) / 120, 0.04, 0.5)),
        "phone": null_where(_digits(rng, n, "{:03d}-{:03d}-{:04d}", ((201, 990), (200, 1000), (0, 10_000))), rng.random(n) < 0.05),
        "segment": np.where(business, "business", "private").astype(object),
        "registered_on": _registered(rng, n),
        "marketing_consent": (rng.random(n) < np.where(business, 0.2, 0.35 + 0.3 * young)).astype(int),
    }
    return People(client, _locations(rng, region, business, client["registered_on"]), region, age, business, unreliable)


def _registered(rng: np.random.Generator, n: int) -> NDArray[Any]:
    """Many at the start, then fewer, with a peak before Christmas, and few on Sundays; ascending like the ids."""
    days = np.arange(FIRST_DAY, np.datetime64("2017-04-01"))
    number = np.arange(len(days))
    month = days.astype("datetime64[M]").astype(int) % 12
    weight = np.exp(-number / 500) * np.where(month == 11, 1.8, 1.0) * np.where((number + 6) % 7 == 6, 0.15, 1.0)
    return np.sort(rng.choice(days, n, p=weight / weight.sum()))


def _locations(rng: np.random.Generator, region: NDArray[np.int64], business: NDArray[np.bool_], registered: NDArray[Any]) -> Columns:
    """A home for each client; billing and work addresses for some, mostly for businesses."""
    n, extra = len(region), LOCATIONS - CLIENTS
    # Gumbel top-k: a weighted draw of (client, kind) pairs without replacement.
    pull = np.concatenate([np.where(business, 1.0, -0.6), np.where(business, 2.6, 0.0)]) + rng.gumbel(0, 1, 2 * n)
    pairs = np.sort(np.argpartition(-pull, extra)[:extra])
    owner = np.concatenate([np.arange(n), pairs % n])
    kind = np.concatenate([np.zeros(n, int), 1 + pairs // n])
    order = np.lexsort((kind, owner))
    owner, kind = owner[order], kind[order]
    total = len(owner)
    where = np.where((kind > 0) & (rng.random(total) < 0.1), rng.integers(0, len(words.REGIONS), total), region[owner])
    city, latitude, longitude, postal = (np.empty(total, dtype=t) for t in (object, float, float, object))
    for place, (_, cities) in enumerate(words.REGIONS.values()):
        rows = np.flatnonzero(where == place)
        drawn = rng.choice(len(cities), len(rows), p=[c[1] for c in cities])
        city[rows] = [cities[i][0] for i in drawn]
        latitude[rows] = [cities[i][2] for i in drawn]
        longitude[rows] = [cities[i][3] for i in drawn]
        postal[rows] = [f"{cities[i][4]}{z:02d}" for i, z in zip(drawn, rng.integers(1, 60, len(rows)), strict=True)]
    number = np.ceil(rng.lognormal(4.5, 1.1, total)).astype(int)
    streets, kinds = _zipf(rng, words.STREETS, total, 0.5), rng.choice(words.STREET_KINDS, total, p=[0.4, 0.2, 0.15, 0.1, 0.08, 0.04, 0.03])
    moved = (kind == 0) & (rng.random(total) < 0.12)
    until = registered[owner] + rng.integers(30, 900, total).astype("timedelta64[D]")
    return {
        "location_id": np.arange(1, total + 1),
        "client_id": owner + 1,
        "kind": np.array(["home", "billing", "work"], dtype=object)[kind],
        "street": np.array([f"{s} {k}" for s, k in zip(streets, kinds, strict=True)], dtype=object),
        "house_number": number,
        "city": city,
        "postal_code": postal,
        "region": np.array(list(words.REGIONS), dtype=object)[where],
        "latitude": np.round(latitude + rng.normal(0, 0.06, total), 5),
        "longitude": np.round(longitude + rng.normal(0, 0.08, total), 5),
        "valid_from": registered[owner],
        "valid_to": null_where(until.astype(object), ~moved | (until > LAST_DAY)),
    }


def _ssn(rng: np.random.Generator, n: int) -> NDArray[Any]:
    """Unique numbers of the form 123-45-6789, in areas that are in use."""
    areas = rng.choice(np.setdiff1d(np.arange(1, 900), [666]), 2 * n)
    text = [f"{a:03d}-{g:02d}-{s:04d}" for a, g, s in zip(areas, rng.integers(1, 100, 2 * n), rng.integers(1, 10_000, 2 * n), strict=True)]
    return np.array(list(dict.fromkeys(text))[:n], dtype=object)


def _email(rng: np.random.Generator, first: NDArray[Any], last: NDArray[Any]) -> NDArray[Any]:
    """first.last@host, with a number where the address is taken."""
    seen: dict[str, int] = {}
    found = []
    for given, family, host in zip(first, last, _zipf(rng, words.MAIL_HOSTS, len(first), 0.9), strict=True):
        local = f"{given}.{family}".lower().replace(" ", "").replace("'", "")
        seen[local] = seen.get(local, 0) + 1
        found.append(f"{local}{seen[local] if seen[local] > 1 else ''}@{host}")
    return np.array(found, dtype=object)


def _digits(rng: np.random.Generator, n: int, form: str, ranges: tuple[tuple[int, int], ...]) -> NDArray[Any]:
    parts = [rng.integers(low, high, n) for low, high in ranges]
    return np.array([form.format(*row) for row in zip(*parts, strict=True)], dtype=object)


def _zipf(rng: np.random.Generator, values: list[str] | tuple[str, ...], n: int, power: float) -> NDArray[Any]:
    """Draws that favour the front of a list."""
    weight = 1 / np.arange(1, len(values) + 1) ** power
    return np.array(values, dtype=object)[rng.choice(len(values), n, p=weight / weight.sum())]


def null_where(values: NDArray[Any], where: NDArray[np.bool_]) -> NDArray[Any]:
    """The values as objects, None in the rows of `where`."""
    values = values.astype(object)
    values[where] = None
    return values
