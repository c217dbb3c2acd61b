"""How long DBOS waits for a database that is away: tasks as long as it takes, calls not at all, and nobody at the end.

DBOS tries again for ever, at last once a minute, in threads that keep the process from ending, and has no setting for
it. What it sleeps with in between is therefore ours.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from typing import Any

from dbos import _sys_db

LONGEST = 1.0
"""Most seconds between two tries."""

patient: contextvars.ContextVar[bool] = contextvars.ContextVar("patient", default=True)
"""Whether what is done in this context may wait for the database."""

closing = threading.Event()
"""Set when nobody is to wait any more."""

_EXECUTOR = "dbos-executor"
"""How DBOS names the threads in which it writes."""


class _Time:
    """The module `time`, with a `sleep` that knows when it is in the way."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def sleep(self, seconds: float) -> None:
        """DBOS calls it with the error in hand when it is about to try again: impatient ones get that error."""
        error = sys.exc_info()[1]
        if error is None or not threading.current_thread().name.startswith(_EXECUTOR):
            self._module.sleep(seconds)
        elif closing.is_set() or not patient.get():
            raise error
        else:
            closing.wait(min(seconds, LONGEST))


def install() -> None:
    """Have DBOS's database calls sleep so; once is enough."""
    inside: Any = _sys_db
    if not isinstance(inside.time, _Time):
        inside.time = _Time(inside.time)
