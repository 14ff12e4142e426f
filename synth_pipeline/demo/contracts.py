"""Accounts of the demo: who holds how many, on which plan, from when to when, and how much they use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth_pipeline.demo import words
from synth_pipeline.demo.people import LAST_DAY, Columns, People, null_where

ACCOUNTS, INVOICES, WITHOUT_ACCOUNT = 6_000, 108_000, 200
BILLING_DAYS = np.array([1, 5, 10, 15, 20, 25])
_LAST_MONTH = LAST_DAY.astype("datetime64[M]").astype(int)


@dataclass(frozen=True)
class Contracts:
    """The account table, and per account: owner and plan (numbers), month of opening, bills, billing day, level of use."""

    account: Columns
    owner: NDArray[np.int64]
    plan: NDArray[np.int64]
    opened_month: NDArray[np.int64]
    bills: NDArray[np.int64]
    billing_day: NDArray[np.int64]
    level: NDArray[np.float64]
    roaming: NDArray[np.bool_]


def make(rng: np.random.Generator, people: People) -> Contracts:
    """Draws the accounts, with so many months of billing that they add up to the invoices of the demo."""
    owner = _owners(rng, people)
    n = len(owner)
    plan = _plans(rng, people, owner)
    opened = _opened(rng, people.client["registered_on"], owner)
    order = np.argsort(opened, kind="stable")
    owner, plan, opened = owner[order], plan[order], opened[order]
    month = opened.astype("datetime64[M]").astype(int)
    room = np.maximum(_LAST_MONTH - month, 0)
    # Unreliable clients leave sooner, businesses stay; one common factor makes the bills add up.
    stay = rng.exponential(1.0, n) * np.exp(-0.35 * people.unreliable[owner] + 0.6 * people.business[owner])
    tenure = stay * _factor(stay, room)
    bills = np.minimum(room, np.floor(tenure)).astype(int)
    left = tenure < room
    billing_day = rng.choice(BILLING_DAYS, n, p=[0.3, 0.1, 0.2, 0.2, 0.1, 0.1])
    last_bill = (month + bills).astype("datetime64[M]").astype("datetime64[D]") + (billing_day - 1)
    closed = np.minimum(np.maximum(last_bill, opened) + rng.integers(1, 29, n), LAST_DAY)
    level = np.exp(rng.normal(0, 0.5, n) + 0.25 * rng.normal(0, 1, len(people.age))[owner] - 0.006 * (people.age[owner] - 45))
    roaming = rng.random(n) < np.where(people.business[owner], 0.7, 0.25)
    fees, limits = (np.array([values[i] for values in words.PLANS.values()], dtype=object) for i in (0, 1))
    account = {
        "account_id": np.arange(1, n + 1),
        "client_id": owner + 1,
        "sim_number": _sim_numbers(rng, n),
        "plan": np.array(list(words.PLANS), dtype=object)[plan],
        "monthly_fee": fees[plan].astype(int) / 100,
        "data_limit_gb": limits[plan],
        "billing_day": billing_day,
        "roaming": roaming.astype(int),
        "opened_on": opened,
        "closed_on": null_where(closed, ~left),
        "status": np.where(left, "closed", "active").astype(object),
    }
    return Contracts(account, owner, plan, month, bills, billing_day, level, roaming)


def _owners(rng: np.random.Generator, people: People) -> NDArray[np.int64]:
    """At least one account for most clients; the rest goes to few, with a heavy tail among businesses."""
    clients = len(people.age)
    holders = np.sort(rng.permutation(clients)[WITHOUT_ACCOUNT:])
    pull = np.where(people.business[holders], 6.0, 1.0) * rng.pareto(1.6, len(holders))
    further = rng.choice(holders, ACCOUNTS - len(holders), p=pull / pull.sum())
    return np.sort(np.concatenate([holders, further]))


def _plans(rng: np.random.Generator, people: People, owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """By region and age: data plans for the young and the coasts, talk and basic for the old and the plains."""
    age, region, business = people.age[owner], people.region[owner], people.business[owner]
    youth = (45 - age) / 15
    coast = np.array([0.6, 0.2, 0.0, -0.1, -0.9, 0.1, -0.5, 0.8])[region]
    appeal = np.stack([
        -0.4 - 1.3 * youth - 0.6 * coast,
        0.6 - 0.4 * youth - 0.4 * coast,
        0.9 + 0.4 * youth + 0.1 * coast,
        0.1 + 0.9 * youth + 0.8 * coast,
        0.2 - 0.9 * np.abs(youth) + 0.1 * coast,
        np.where(business, 3.0, -6.0),
    ])  # fmt: skip
    chosen: NDArray[np.int64] = np.argmax(appeal + rng.gumbel(0, 1, appeal.shape), axis=0)
    return chosen


def _opened(rng: np.random.Generator, registered: NDArray[Any], owner: NDArray[np.int64]) -> NDArray[Any]:
    """The first account within days of registration, further ones at any time after it."""
    first = np.concatenate([[True], owner[1:] != owner[:-1]])
    room = (LAST_DAY - registered[owner]).astype(int)
    wait = np.where(first, rng.geometric(0.4, len(owner)) - 1, (rng.beta(1, 2.2, len(owner)) * room).astype(int))
    opened: NDArray[Any] = registered[owner] + np.minimum(wait, room)
    return opened


def _factor(stay: NDArray[np.float64], room: NDArray[np.int64]) -> float:
    """The factor on `stay` with which whole months, bounded by `room`, add up to the invoices (bisection)."""
    low, high = 0.0, 1_000.0
    for _ in range(200):
        middle = (low + high) / 2
        total = int(np.minimum(room, np.floor(stay * middle)).sum())
        if total == INVOICES:
            return middle
        low, high = (middle, high) if total < INVOICES else (low, middle)
    raise AssertionError(f"no factor gives {INVOICES} invoices")


def _sim_numbers(rng: np.random.Generator, n: int) -> NDArray[Any]:
    """Unique 19-digit numbers of the form of an ICCID: 8901, an issuer, an account, and a Luhn check digit."""
    serial = rng.choice(10**9, n, replace=False) if n < 10**5 else rng.permutation(10**9)[:n]
    digits = np.array([[int(c) for c in f"8901{issuer:03d}{s:011d}"] for issuer, s in zip(rng.choice([260, 410, 480], n), serial, strict=True)])
    doubled = digits[:, ::-1].copy()
    doubled[:, ::2] *= 2
    check = -(doubled // 10 + doubled % 10).sum(axis=1) % 10
    return np.array(["".join(map(str, row)) + str(c) for row, c in zip(digits, check, strict=True)], dtype=object)
