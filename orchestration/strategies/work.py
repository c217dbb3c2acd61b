"""Work for an answer: done while that waits, or in the background; in both cases its result is told once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING
from uuid import uuid4

from delivery.desk import Refuse
from orchestration.asked import answering
from orchestration.engines.engine import EngineError, TaskResult
from orchestration.rooms import RoomError
from orchestration.tasks import CANCELLED, GRACE, delivery_of
from orchestration.workers.worker import Worker

if TYPE_CHECKING:
    from orchestration.asked import Asked
    from orchestration.runtime import Runtime

log = logging.getLogger("sottovoce.work")

WAIT = 300.0
"""Seconds that an answer waits for work, all in all: a little less than readers wait for it (`voice.written_floor`)."""
LIMIT = 900.0
"""Seconds that work may take for which an answer waits: it may well be done soon after nobody waits any more."""
UNFINISHED = "unfinished"
"""In the data of a result: the work goes on in the background."""
REFUSED = "refused"
"""In the data of a result: the work was not begun; its error says why, to whoever asked for it."""
GOES_ON = "This takes longer than expected. It goes on in the background, and the result is told when it is there."


def in_background(asked: Asked | None, asynchronous: bool | None) -> bool:
    """Whether work is done in the background of the answer to `asked`, and not while that waits.

    `asynchronous` says so; None: where the answer is heard, and where nobody waits for one, it is.
    """
    if asynchronous is not None:
        return asynchronous
    return asked is None or asked.spoken


async def inline(
    asked: Asked,
    worker: Worker,
    input: str,
    *,
    share_channels: Sequence[str] = (),
    timeout: float | None = WAIT,
) -> TaskResult:
    """Have the worker, which the runtime knows, do a task of the room, and wait for it; the answer tells its result.

    If the answer is cut before it is heard whole, the result is delivered by itself. `timeout` seconds after the answer
    was asked for (None: no limit) the work goes on in the background, the result says so (UNFINISHED in its data), and
    the real one is delivered by itself. What cannot be begun, also because a hook refuses it, is a result with `error`,
    and REFUSED in its data. Cancelling stops the waiting, not the work.
    """
    runtime, room = asked.runtime, asked.room.id
    within = limit = None
    if timeout is not None:
        limit = max(LIMIT, timeout)
        within = max(GRACE, asked.chain.began + timeout - asyncio.get_running_loop().time())
    return await _done(runtime, room, asked, worker, input, share_channels, within=within, limit=limit, fold=False)


async def begun(
    runtime: Runtime,
    room: str,
    asked: Asked | None,
    worker: Worker,
    input: str,
    *,
    share_channels: Sequence[str] = (),
) -> TaskResult:
    """Have the worker do a task of the room in the background. The result is UNFINISHED, as from `inline`.

    Unless it is there in a moment (GRACE): then the answer to `asked` (None: nobody waits for one) tells it, like that
    of any tool.
    """
    return await _done(runtime, room, asked, worker, input, share_channels, within=GRACE)


def let_go(asked: Asked, *deliveries: str) -> None:
    """The answer does not tell these results after all (none given: all that it was to tell); they are delivered by
    themselves."""
    if asked.over:
        return
    for delivery in deliveries or asked.carried:
        if delivery in asked.carried:
            asked.carried = tuple(each for each in asked.carried if each != delivery)
            if session := asked.runtime.session(asked.room.id):
                session.settle_carried(delivery, False)


async def _done(
    runtime: Runtime,
    room: str,
    asked: Asked | None,
    worker: Worker,
    input: str,
    share_channels: Sequence[str],
    *,
    within: float | None,
    limit: float | None = 300.0,
    fold: bool | None = None,
) -> TaskResult:
    id = uuid4().hex
    if asked:  # before it is there: it could be spoken, or folded into the answer, in the moment in which it comes
        copy_context().run(_carry, asked, delivery_of(id))
    result = None
    try:
        task = await runtime.delegate(
            room,
            worker.id,
            input,
            caller=asked.caller if asked else runtime.speaker(room),
            timeout=limit,
            fold=fold,
            share_channels=share_channels,
            id=id,
        )
        result = await runtime.tasks.result(task.id, within)
    except (Refuse, ValueError) as error:
        return TaskResult("", {REFUSED: True}, error=str(error) or "refused")
    except (RoomError, EngineError):
        log.exception("room %s: %s could not be set to work", room, worker.id)
        return TaskResult("", {REFUSED: True}, error="the work cannot be begun now")
    finally:
        if asked and (result is None or result is CANCELLED):
            let_go(asked, delivery_of(id))
    return TaskResult(GOES_ON, {UNFINISHED: True}) if result is None else result


def _carry(asked: Asked, delivery: str) -> None:
    """Have the answer carry it, in whatever task this is called."""
    answering(asked)
    asked.runtime.carry(asked.room.id, delivery)
