"""Writes the demo as a SQLite file: the schema as an operator would declare it, then the rows table by table."""

from __future__ import annotations

import os
import sqlite3
import uuid
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from synth_pipeline.errors import SourceError

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

SEED = 2013

_TABLES = """
CREATE TABLE client (
    client_id INTEGER PRIMARY KEY,
    first_name VARCHAR(40) NOT NULL,
    last_name VARCHAR(40) NOT NULL,
    ssn CHAR(11) NOT NULL UNIQUE,
    birth_date DATE NOT NULL,
    sex CHAR(1) CHECK (sex IN ('F', 'M')),
    email VARCHAR(120) UNIQUE,
    phone VARCHAR(20),
    segment VARCHAR(10) NOT NULL DEFAULT 'private' CHECK (segment IN ('private', 'business')),
    registered_on DATE NOT NULL,
    marketing_consent BOOLEAN NOT NULL DEFAULT 0
);
CREATE TABLE location (
    location_id INTEGER PRIMARY KEY,
    client_id INTEGER NOT NULL REFERENCES client (client_id) ON DELETE CASCADE,
    kind VARCHAR(10) NOT NULL CHECK (kind IN ('home', 'billing', 'work')),
    street VARCHAR(60) NOT NULL,
    house_number INTEGER NOT NULL CHECK (house_number > 0),
    city VARCHAR(40) NOT NULL,
    postal_code CHAR(5) NOT NULL,
    region VARCHAR(20) NOT NULL,
    latitude REAL NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    longitude REAL NOT NULL CHECK (longitude BETWEEN -180 AND 180),
    valid_from DATE NOT NULL,
    valid_to DATE,
    UNIQUE (client_id, kind),
    CHECK (valid_to IS NULL OR valid_to >= valid_from)
);
CREATE TABLE account (
    account_id INTEGER PRIMARY KEY,
    client_id INTEGER NOT NULL REFERENCES client (client_id),
    sim_number CHAR(19) NOT NULL UNIQUE,
    "plan" VARCHAR(10) NOT NULL CHECK ("plan" IN ('talk', 'basic', 'smart', 'max', 'family', 'business')),
    monthly_fee NUMERIC(6, 2) NOT NULL CHECK (monthly_fee > 0),
    data_limit_gb INTEGER,
    billing_day INTEGER NOT NULL CHECK (billing_day BETWEEN 1 AND 28),
    roaming BOOLEAN NOT NULL DEFAULT 0,
    opened_on DATE NOT NULL,
    closed_on DATE,
    status VARCHAR(10) NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'closed')),
    CHECK (closed_on IS NULL OR closed_on >= opened_on)
);
CREATE TABLE invoice (
    invoice_id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (account_id),
    invoice_number CHAR(15) NOT NULL UNIQUE,
    issued_on DATE NOT NULL,
    due_on DATE NOT NULL,
    minutes INTEGER NOT NULL CHECK (minutes >= 0),
    messages INTEGER NOT NULL CHECK (messages >= 0),
    data_mb INTEGER CHECK (data_mb >= 0),
    base_fee NUMERIC(8, 2) NOT NULL,
    usage_charge NUMERIC(8, 2) NOT NULL DEFAULT 0 CHECK (usage_charge >= 0),
    discount NUMERIC(8, 2) NOT NULL DEFAULT 0 CHECK (discount >= 0),
    tax NUMERIC(8, 2) NOT NULL,
    total NUMERIC(8, 2) NOT NULL CHECK (total BETWEEN 1 AND 1000),
    UNIQUE (account_id, issued_on),
    CHECK (due_on >= issued_on)
);
CREATE TABLE payment (
    payment_id INTEGER PRIMARY KEY,
    invoice_id INTEGER NOT NULL UNIQUE REFERENCES invoice (invoice_id),
    method VARCHAR(15) NOT NULL CHECK (method IN ('direct debit', 'card', 'transfer', 'cash')),
    amount NUMERIC(8, 2) NOT NULL CHECK (amount BETWEEN 1 AND 1000),
    paid_at DATETIME,
    reminders INTEGER NOT NULL DEFAULT 0 CHECK (reminders BETWEEN 0 AND 3),
    status VARCHAR(15) NOT NULL DEFAULT 'open' CHECK (status IN ('paid', 'late', 'open', 'written off')),
    CHECK ((paid_at IS NULL) = (status IN ('open', 'written off')))
);
"""
_AFTERWARDS = """
CREATE INDEX client_name ON client (last_name, first_name);
CREATE INDEX location_region ON location (region, city);
CREATE INDEX account_client ON account (client_id);
CREATE INDEX account_plan ON account ("plan");
CREATE INDEX invoice_issued ON invoice (issued_on);
CREATE INDEX payment_unpaid ON payment (status) WHERE paid_at IS NULL;
CREATE VIEW account_balance AS
    SELECT a.account_id, a.client_id, count(*) AS invoices, sum(i.total) AS billed,
           sum(CASE WHEN p.paid_at IS NULL THEN i.total ELSE 0 END) AS unpaid
    FROM account a JOIN invoice i ON i.account_id = a.account_id JOIN payment p ON p.invoice_id = i.invoice_id
    GROUP BY a.account_id, a.client_id;
CREATE VIEW monthly_revenue AS
    SELECT strftime('%Y-%m', issued_on) AS month, count(*) AS invoices, sum(total) AS billed FROM invoice GROUP BY 1;
CREATE TRIGGER account_closed AFTER UPDATE OF closed_on ON account WHEN NEW.closed_on IS NOT NULL
BEGIN
    UPDATE account SET status = 'closed' WHERE account_id = NEW.account_id;
END;
"""


def build(path: Path | str, seed: int = SEED) -> dict[str, int]:
    """Writes the database to `path`, replacing what is there in one step; returns the rows per table.

    The same seed gives the same rows.

    Raises:
        SourceError: the file cannot be written.
    """
    import numpy as np

    from synth_pipeline.demo import billing, contracts, people

    streams = [np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(seed).spawn(4)]
    crowd = people.make(streams[0])
    held = contracts.make(streams[1], crowd)
    invoice, account = billing.invoices(streams[2], held, crowd.business)
    payment = billing.payments(streams[3], crowd, held, invoice, account)
    tables = {"client": crowd.client, "location": crowd.location, "account": held.account, "invoice": invoice, "payment": payment}

    target = Path(path)
    staging = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(staging)
        try:
            connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON;" + _TABLES)
            with connection:
                for name, columns in tables.items():
                    marks = ", ".join("?" * len(columns))
                    connection.executemany(f"INSERT INTO {name} VALUES ({marks})", zip(*map(_plain, columns.values()), strict=True))
            connection.executescript(_AFTERWARDS)
        finally:
            connection.close()
        os.replace(staging, target)
    except (OSError, sqlite3.OperationalError) as e:
        raise SourceError(f"The demo database cannot be written to {target}: {e}.", "Choose a folder that can be written.") from e
    finally:
        with suppress(OSError):
            staging.unlink()
    return {name: len(next(iter(columns.values()))) for name, columns in tables.items()}


def _plain(values: NDArray[Any]) -> list[object]:
    """Python values that SQLite takes: dates as ISO text, numbers as they are."""
    import numpy as np

    if values.dtype.kind == "M":
        return np.datetime_as_string(values, unit="D").tolist()  # type: ignore[no-any-return]
    found = values.tolist()
    return [str(v) if isinstance(v, date) else v for v in found] if values.dtype == object else found
