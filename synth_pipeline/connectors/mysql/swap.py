"""How what was built takes the place of what was there, in one statement, and how a crash around it is cleared up.

Data definition commits at once here, so an export builds in a database of its own. RENAME TABLE of many tables is one atomic
statement, but takes no table along that has triggers, so triggers are dropped before it and made after it. A journal in
the staging database, renamed by that same statement, tells the next export whether the swap happened: then what is left is
carried out, else the old triggers are made again. Readers are not concerned by either.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from contextlib import suppress

import pymysql
from pymysql.constants import ER

from synth_pipeline.connectors.mysql import ddl, reflect
from synth_pipeline.connectors.mysql.session import MODE, Session, is_lost, quoted, refusal
from synth_pipeline.errors import ExportError

logger = logging.getLogger(__name__)

JOURNAL, SWAPPED = "synth_pipeline_journal", "synth_pipeline_journal_swapped"
_THERE = (ER.TRG_ALREADY_EXISTS, ER.SP_ALREADY_EXISTS, ER.TABLE_EXISTS_ERROR, 1537)  # the last: events
_LOCK_SECONDS, _TRIES = 5, 12
_CONTEXT = f"SET sql_mode = '{MODE}', character_set_client = utf8mb4, collation_connection = utf8mb4_general_ci, time_zone = '+00:00'"


def staging_name(database: str) -> str:
    """Where an export into the database builds."""
    return reflect.STAGING + _key(database)


def discarded_name(database: str) -> str:
    """Where what a replacing export has put aside waits to be dropped."""
    return reflect.DISCARDED + _key(database)


def _key(database: str) -> str:
    return hashlib.sha256(database.encode()).hexdigest()[:16]


def lock(session: Session, database: str, seconds: int = 10) -> bool:
    """Keeps other exports into the database away until the session ends; False where one is under way."""
    return bool(session.one("SELECT GET_LOCK(%s, %s)", [staging_name(database), seconds])[0])


def execute(session: Session, sql: str) -> None:
    """A definition, under the settings that it names."""
    parts = ddl.statements(sql)
    try:
        for part in parts:
            session.run(part)
    finally:
        if len(parts) > 1:
            session.run(_CONTEXT)


def has_database(session: Session, name: str) -> bool:
    """Whether the server has a database of that name."""
    return bool(session.run("SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", [name]))


def tables_of(session: Session, database: str) -> list[str]:
    """Everything in a database that RENAME TABLE moves: tables and sequences, no views.

    Names alone are asked for: information_schema.tables does not know what a table is while another session alters it.
    """
    views = {name for (name,) in session.run("SELECT table_name FROM information_schema.views WHERE table_schema = %s", [database])}
    return [str(name) for (name,) in session.run(f"SHOW TABLES FROM {quoted(database)}") if name not in views]


def sweep(session: Session, database: str) -> None:
    """Finishes or takes back what an export into the database left when it died."""
    staging = staging_name(database)
    if has_database(session, staging):
        present = tables_of(session, staging)
        journal = next((j for j in (SWAPPED, JOURNAL) if j in present), None)
        if journal is not None and has_database(session, database):
            session.use(database)
            phase = "redo" if journal == SWAPPED else "undo"
            rows = session.run(f"SELECT statement FROM {quoted(staging, journal)} WHERE phase = '{phase}' ORDER BY step")
            _carry_out(session, [str(sql) for (sql,) in rows])
    drop(session, staging)
    drop(session, discarded_name(database))


def drop(session: Session, name: str) -> None:
    """Drops a database of this program's own."""
    if has_database(session, name):
        session.run("SET foreign_key_checks = 0")
        session.run(f"DROP DATABASE {quoted(name)}")


def _carry_out(session: Session, statements: Sequence[str]) -> list[str]:
    """Executes statements of a journal, some of which may have been executed before; returns what could not be."""
    failed = []
    for sql in statements:
        try:
            execute(session, sql)
        except pymysql.err.MySQLError as e:
            if is_lost(e):
                raise
            if e.args[0] not in _THERE:
                failed.append(refusal(e))
                logger.warning("A definition was not made: %s", refusal(e))
    return failed


def write_journal(session: Session, database: str, undo: Sequence[str], redo: Sequence[str]) -> None:
    """Records what is to be done when this process dies, before and after the swap."""
    staging = staging_name(database)
    if not has_database(session, staging):
        session.run(f"CREATE DATABASE {quoted(staging)}")
    name = quoted(staging, JOURNAL)
    session.run(f"DROP TABLE IF EXISTS {name}")
    session.run(
        f"CREATE TABLE {name} (step INT AUTO_INCREMENT PRIMARY KEY, phase VARCHAR(4) NOT NULL, statement LONGTEXT NOT NULL)"
        " ENGINE = InnoDB DEFAULT CHARSET utf8mb4"
    )
    for phase, statements in (("undo", undo), ("redo", redo)):
        for sql in statements:
            session.run(f"INSERT INTO {name} (phase, statement) VALUES (%s, %s)", [phase, sql])


def swap(session: Session, database: str, incoming: Sequence[str], outgoing: Sequence[str], undo: Sequence[str], redo: Sequence[str]) -> list[str]:
    """Moves `incoming` from the staging database into its place and `outgoing` away, as one; then carries `redo` out.

    Args:
        session: with the lock.
        database: the target; it exists.
        incoming: tables of the staging database.
        outgoing: tables of the target; they have no triggers any more.
        undo: statements that make again what was dropped of the target for the swap.
        redo: statements that complete the target afterwards.

    Returns:
        What of `redo` could not be done.

    Raises:
        ExportError: others hold on to the tables for too long; nothing has changed.
    """
    staging, discarded = staging_name(database), discarded_name(database)
    drop(session, discarded)
    session.run(f"CREATE DATABASE {quoted(discarded)}")
    moves = [f"{quoted(database, t)} TO {quoted(discarded, t)}" for t in outgoing]
    moves += [f"{quoted(staging, t)} TO {quoted(database, t)}" for t in incoming]
    moves.append(f"{quoted(staging, JOURNAL)} TO {quoted(staging, SWAPPED)}")
    session.run("SET foreign_key_checks = 0")
    try:
        _patiently(session, f"RENAME TABLE {', '.join(moves)}")
    except pymysql.err.MySQLError as e:
        if not is_lost(e):  # otherwise the next export looks whether it happened
            session.use(database)
            _carry_out(session, undo)
        if e.args[0] == ER.LOCK_WAIT_TIMEOUT:
            remedy = "Nothing was changed. Try again when long transactions on it are over."
            raise ExportError(f"Tables of {database} are in use.", remedy) from None
        raise
    session.use(database)
    failed = _carry_out(session, redo)
    drop(session, staging)
    drop(session, discarded)
    return failed


def _patiently(session: Session, sql: str) -> None:
    """Waits for readers in short turns, since new ones wait behind a statement that waits."""
    session.run(f"SET lock_wait_timeout = {_LOCK_SECONDS}")
    try:
        for attempt in range(_TRIES):
            try:
                session.run(sql)
                return
            except pymysql.err.MySQLError as e:
                if e.args[0] not in (ER.LOCK_WAIT_TIMEOUT, ER.LOCK_DEADLOCK) or attempt == _TRIES - 1:
                    raise
                time.sleep(0.2)
    finally:
        with suppress(pymysql.err.MySQLError):
            session.run("SET lock_wait_timeout = 86400")
