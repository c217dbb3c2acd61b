"""What we ask of DBOS's own tables and insides, as its open-source edition cannot do it: take over, report, tell.

Everything here blocks; it is called in DBOS's threads. `tests/orchestration/engines/test_dbos_tables.py` says so when
a new DBOS has other tables or insides. In DBOS an unfinished workflow is a row with status PENDING, the executor that
runs it, and `owner_xid`, the token of that very run: whoever writes steps or the outcome under another token is
refused. So taking over is writing ourselves and a new token into the row, in one statement.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa
from dbos import _workflow_commands
from dbos._context import get_local_dbos_context
from dbos._core import execute_dequeued_workflow
from dbos._dbos import _get_dbos_instance

from orchestration.engines.store import CHANNEL

WORKFLOW = "sottovoce.task"


QUIET = 4.0
"""Seconds between two looks of DBOS for what we never have: queued and delayed workflows, deadlines. It looks every
second, which costs more than all else while nothing is to be done. Less than the 5 s after which PostgreSQL ends the
session that holds DBOS's lock for it."""


def quieten() -> None:
    """Have DBOS look less often. To be called between its making and its launch."""
    _workflow_commands._BACKGROUND_JOBS_INTERVAL_SEC = QUIET
    _get_dbos_instance()._registry.get_internal_queue()._polling_interval_sec = QUIET


def take(executor: str, gone: Collection[str], lost: Collection[str], token: str, version: str) -> list[dict[str, Any]]:
    """Make unfinished tasks `executor`'s: those of executors that are gone, and those taken under the tokens `lost`, of
    which it is not known whether they were. Returns their statuses as DBOS has them.

    Of several who do so at once, each task goes to the one whose statement comes first: the others find another
    executor in the row.
    """
    database = _get_dbos_instance()._sys_db
    table = database.tables.workflow_status
    theirs = (
        sa.update(table)
        .where(table.c.name == WORKFLOW, table.c.status == "PENDING", table.c.application_version == version)
        .where(table.c.executor_id.in_(gone) | table.c.owner_xid.in_(lost))
        .values(executor_id=executor, owner_xid=token, recovery_attempts=table.c.recovery_attempts + 1)
        .returning(table.c.workflow_uuid)
    )
    with database.engine.begin() as connection:
        ids = [id for (id,) in connection.execute(theirs)]
        for id in ids:
            _notify(connection, id)  # whoever was only stopped, and goes on some day
    return [dict(status) for status in database.get_workflow_statuses(ids)]


def resume(status: Mapping[str, Any], token: str) -> None:
    """Run a task that was taken under that token; it begins on DBOS's loop."""
    execute_dequeued_workflow(_get_dbos_instance(), dict(status), token)  # type: ignore[arg-type]


def token() -> str | None:
    """The token of the run that asks, from its own context."""
    context = get_local_dbos_context()
    return None if context is None else context.owner_xid


def owner(id: str) -> str | None:
    """The token of the run whose task it is now; None when it is over. A database that is away is waited for."""
    return _get_dbos_instance()._sys_db.get_workflow_owner(id)


def report(executor: str, id: str, attributes: Mapping[str, Any], begun: int) -> None:
    """Write what an unfinished task of ours is at, and that it was begun so many times more."""
    with _get_dbos_instance()._sys_db.engine.begin() as connection:
        connection.execute(_ours(executor, [id], begun).values(attributes=dict(attributes)))


def spare(executor: str, ids: Collection[str]) -> None:
    """What was interrupted in good order was not begun in vain."""
    with _get_dbos_instance()._sys_db.engine.begin() as connection:
        connection.execute(_ours(executor, ids, -1))


def _ours(executor: str, ids: Collection[str], begun: int) -> sa.Update:
    table = _get_dbos_instance()._sys_db.tables.workflow_status
    return (
        sa.update(table)
        .where(table.c.workflow_uuid.in_(ids), table.c.status == "PENDING", table.c.executor_id == executor)
        .values(recovery_attempts=table.c.recovery_attempts + begun)
    )


def tell(id: str) -> None:
    """Have every process look whether that task is still its own."""
    with _get_dbos_instance()._sys_db.engine.begin() as connection:
        _notify(connection, id)


def _notify(connection: sa.Connection, id: str) -> None:
    """In SQLite the write itself is noticed."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_notify(CHANNEL, id)))
