"""Invoices and payments of the demo: use by season and year, amounts to the cent, and who pays when."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth_pipeline.demo import words
from synth_pipeline.demo.contracts import Contracts
from synth_pipeline.demo.people import FIRST_DAY, LAST_DAY, Columns, People, null_where

TAX_PERCENT, DAYS_TO_PAY = 20, 14
_SEASON = np.array([0.95, 0.92, 0.98, 1.0, 1.02, 1.03, 1.08, 1.06, 0.99, 1.0, 1.05, 1.25])
_ROAMING = np.array([0.05, 0.06, 0.08, 0.1, 0.12, 0.2, 0.45, 0.5, 0.2, 0.1, 0.06, 0.15])


def invoices(rng: np.random.Generator, contracts: Contracts, business: NDArray[np.bool_]) -> tuple[Columns, NDArray[np.int64]]:
    """The invoice table in the order of issue, and the number of the account of each row."""
    account = np.repeat(np.arange(len(contracts.bills)), contracts.bills)
    first = np.cumsum(contracts.bills) - contracts.bills
    age = np.arange(len(account)) - first[account] + 1
    month = contracts.opened_month[account] + age
    issued = month.astype("datetime64[M]").astype("datetime64[D]") + (contracts.billing_day[account] - 1)
    order = np.lexsort((account, issued))
    account, age, month, issued = account[order], age[order], month[order], issued[order]
    n = len(account)
    plan, level, season = contracts.plan[account], contracts.level[account], _SEASON[month % 12]
    years = (month - FIRST_DAY.astype("datetime64[M]").astype(int)) / 12
    fee, limit, extra = (np.array([values[i] or 0 for values in words.PLANS.values()])[plan] for i in range(3))

    minutes = np.round(np.array([180, 120, 160, 220, 420, 600])[plan] * level * season * rng.lognormal(0, 0.35, n)).astype(int)
    messages = rng.poisson(np.array([25, 40, 55, 45, 90, 20])[plan] * level * 0.75**years * rng.gamma(2, 0.5, n))
    data = np.round(limit * 700 * level * season * 1.25**years * rng.lognormal(-0.15, 0.6, n)).astype(int)
    over = np.maximum(data / 1000 - limit, 0)
    away = contracts.roaming[account] & (rng.random(n) < _ROAMING[month % 12])
    abroad = np.where(away, rng.pareto(1.9, n) * 900 + 150, 0)
    calls = np.where(plan < 2, np.maximum(minutes - 100, 0) * 9.0, 0)
    usage = np.round(np.minimum(np.ceil(over) * extra, 30_000) + abroad + calls).astype(int)
    discount = np.where(business[contracts.owner[account]], fee * 15 // 100, np.where(age > 12, fee // 10, 0))
    usage = np.minimum(usage, 83_000 - fee)
    net = fee + usage - discount
    tax = (net * TAX_PERCENT + 50) // 100
    serial = np.arange(n) - np.searchsorted(issued.astype("datetime64[Y]"), issued.astype("datetime64[Y]")) + 1
    table: Columns = {
        "invoice_id": np.arange(1, n + 1),
        "account_id": account + 1,
        "invoice_number": np.array([f"INV-{y}-{s:06d}" for y, s in zip(issued.astype("datetime64[Y]"), serial, strict=True)], dtype=object),
        "issued_on": issued,
        "due_on": issued + DAYS_TO_PAY,
        "minutes": minutes,
        "messages": messages,
        "data_mb": null_where(data, plan == 0),
        "base_fee": fee / 100,
        "usage_charge": usage / 100,
        "discount": discount / 100,
        "tax": tax / 100,
        "total": (net + tax) / 100,
    }
    return table, account


def payments(rng: np.random.Generator, people: People, contracts: Contracts, invoice: Columns, account: NDArray[np.int64]) -> Columns:
    """One payment per invoice; whether it is late depends on how the client paid the months before."""
    n = len(account)
    client = contracts.owner[account]
    method = _methods(rng, people, contracts)[account]
    method = np.where(rng.random(n) < 0.04, rng.integers(0, len(words.METHODS), n), method)
    late = _late(rng, people.unreliable[client], client, method, invoice)
    due, issued = invoice["due_on"], invoice["issued_on"]
    early = np.where(method == 0, DAYS_TO_PAY, rng.binomial(DAYS_TO_PAY, 0.55, n))
    delay = np.where(late, DAYS_TO_PAY + np.ceil(rng.lognormal(2.0, 0.8, n)).astype(int), early)
    lost = late & (rng.random(n) < 0.03)
    paid_on = issued + delay
    missing = lost | (paid_on > LAST_DAY)
    hour = np.where(method == 0, 2, np.clip(np.round(rng.normal(14, 4, n)), 7, 22)).astype(int)
    paid_at = paid_on.astype("datetime64[s]") + hour * 3600 + rng.integers(0, 3600, n)
    overdue = np.where(missing, (LAST_DAY - due).astype(int), delay - DAYS_TO_PAY)
    status = np.where(lost, "written off", np.where(missing, "open", np.where(late, "late", "paid")))
    return {
        "payment_id": np.arange(1, n + 1),
        "invoice_id": invoice["invoice_id"],
        "method": np.array(words.METHODS, dtype=object)[method],
        "amount": invoice["total"],
        "paid_at": null_where(paid_at, missing),
        "reminders": np.clip(overdue // 10, 0, 3),
        "status": status.astype(object),
    }


def _methods(rng: np.random.Generator, people: People, contracts: Contracts) -> NDArray[np.int64]:
    """What an account usually pays with: transfer and cash with age, direct debit for businesses."""
    elder = (people.age[contracts.owner] - 45) / 15
    firm = people.business[contracts.owner]
    appeal = np.stack([0.9 + 0.9 * firm, 0.7 - 0.6 * elder - 0.5 * firm, 0.1 + 0.5 * elder, -1.4 + 0.5 * elder - 2.0 * firm])
    chosen: NDArray[np.int64] = np.argmax(appeal + rng.gumbel(0, 1, appeal.shape), axis=0)
    return chosen


def _late(
    rng: np.random.Generator, unreliable: NDArray[np.float64], client: NDArray[np.int64], method: NDArray[np.int64], invoice: Columns
) -> NDArray[Any]:
    """Month by month, because each month's lateness raises the client's odds in the next."""
    n = len(client)
    month = invoice["issued_on"].astype("datetime64[M]").astype(int)
    base = -2.9 + 0.9 * unreliable + 0.5 * (np.log(invoice["total"]) - 3.5) + 0.35 * (month % 12 == 11)
    base += np.array([-1.6, 0.0, 0.3, 0.7])[method]
    recent = np.zeros(client.max() + 1)
    late = np.zeros(n, dtype=bool)
    chance = rng.random(n)
    for current in np.unique(month):
        rows = np.flatnonzero(month == current)
        late[rows] = chance[rows] < 1 / (1 + np.exp(-(base[rows] + 1.4 * recent[client[rows]])))
        recent *= 0.6
        np.maximum.at(recent, client[rows], 0.6 * recent[client[rows]] + late[rows])
    return late
