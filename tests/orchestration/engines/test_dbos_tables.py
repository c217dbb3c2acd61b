"""DBOS's insides are as we use them: whoever upgrades DBOS and breaks this reads `dbos_tables.py` again."""

from __future__ import annotations

import inspect

from dbos import DBOS, _queue, _sys_db, _workflow_commands
from dbos._core import execute_dequeued_workflow
from dbos._dbos import _get_dbos_instance
from dbos._schemas.system_database import SystemSchema
from dbos._sys_db import SystemDatabase, WorkflowStatusInternal, WorkflowStatusString


def test_the_columns_we_write_and_read_are_there() -> None:
    ours = {"workflow_uuid", "status", "name", "executor_id", "owner_xid", "recovery_attempts", "application_version"}
    assert ours | {"attributes"} <= set(SystemSchema.workflow_status.c.keys())
    assert SystemDatabase.tables is SystemSchema


def test_the_words_for_where_a_workflow_stands_are_those_we_know() -> None:
    assert {status.value for status in WorkflowStatusString} == {
        *("PENDING", "SUCCESS", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "CANCELLED", "ENQUEUED", "DELAYED")
    }


def test_dbos_looks_and_waits_by_the_names_we_change() -> None:
    assert "_BACKGROUND_JOBS_INTERVAL_SEC" in inspect.getsource(_workflow_commands.background_jobs_thread)
    assert "_polling_interval_sec" in inspect.getsource(_queue.queue_worker_thread)
    assert "time.sleep(actual_backoff)" in inspect.getsource(_sys_db.db_retry)
    assert 'thread_name_prefix="dbos-executor' in inspect.getsource(DBOS._launch)


def test_a_claimed_workflow_is_run_from_its_status_under_the_token_of_the_claim() -> None:
    assert list(inspect.signature(execute_dequeued_workflow).parameters) == ["dbos", "status", "owner_xid"]
    assert {"workflow_uuid", "recovery_attempts", "inputs"} <= set(WorkflowStatusInternal.__annotations__)
    assert list(inspect.signature(SystemDatabase.get_workflow_statuses).parameters) == ["self", "workflow_ids"]
    assert not inspect.signature(_get_dbos_instance).parameters
    assert isinstance(DBOS.__dict__["_sys_db"], property)
