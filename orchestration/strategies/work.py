"""Work for an answer: done while that waits, or in the background; in both cases its result is told once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING

from delivery.desk import Refuse
from orchestration.asked import answering
from orchestration.engines.engine import EngineError, TaskResult
from orchestration.rooms import RoomError
from orchestration.tasks import CANCELLED, delivery_of
from orchestration.workers.worker import Worker

if TYPE_CHECKING:
    from orchestration.asked import Asked

log = logging.getLogger("sottovoce.work")

WAIT = 300.0
"""Seconds that an answer waits for work: a little less than a reader waits for an answer (`voice.written`)."""
LIMIT = 900.0
"""Seconds that such work may take in all: it may well be done soon after nobody waits for it any more."""
UNFINISHED = "unfinished"
"""In the data of a result: the work goes on in the background."""
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

    If the answer is cut before it is heard whole, the result is delivered by itself. After `timeout` seconds (None: no
    limit) the work goes on in the background, the result says so (UNFINISHED in its data), and the real one is
    delivered by itself. What cannot be begun, also because a hook refuses it, is a result with `error`. Cancelling
    stops the waiting, not the work.
    """
    runtime, room = asked.runtime, asked.room.id
    limit = None if timeout is None else max(LIMIT, timeout)
    try:
        task = await runtime.delegate(
            room, worker.id, input, caller=asked.caller, fold=False, timeout=limit, share_channels=share_channels
        )
    except (Refuse, ValueError, RoomError, EngineError) as error:
        log.info("room %s: %s is not set to work: %s", room, worker.id, error)
        return TaskResult("", error=str(error) or type(error).__name__)
    delivery = delivery_of(task.id)
    # Before it is there: otherwise it could be spoken, or folded into the answer, in the moment in which it comes.
    copy_context().run(_carry, asked, delivery)
    result: TaskResult | None = None
    try:
        result = await runtime.tasks.result(task.id, within=timeout)
    finally:
        if result is None or result is CANCELLED:
            _let_go(asked, delivery)
    return TaskResult(GOES_ON, {UNFINISHED: True}) if result is None else result


def _carry(asked: Asked, delivery: str) -> None:
    """Have the answer carry it, in whatever task this is called."""
    answering(asked)
    asked.runtime.carry(asked.room.id, delivery)


def _let_go(asked: Asked, delivery: str) -> None:
    """The answer does not tell it: it is delivered by itself, when it is there."""
    if delivery not in asked.carried or asked.over:
        return
    asked.carried = tuple(each for each in asked.carried if each != delivery)
    if session := asked.runtime.session(asked.room.id):
        session.settle_carried(delivery, False)
