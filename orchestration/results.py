"""Results of background tasks on their way into the ledger, where they exist before anything is spoken of them."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Mapping
from typing import Any

from delivery.ledger import ConflictError, Delivery, Ledger, LedgerError, SpeakAs
from delivery.record import written
from orchestration.content import MAX_CONTENT, made_speakable
from orchestration.engines.engine import Task, TaskResult
from orchestration.engines.written import written_result

log = logging.getLogger("sottovoce.tasks")

LEDGER_RETRY = 0.5
"""Seconds until a result that could not be stored is stored again."""
MAX_NOTE = 200
"""Most characters of progress, of what was asked and of each of a result's data that are shown and told."""
MAX_FACTS = 20
"""Most of a result's data that go with its delivery."""
MAX_FACTS_CHARS = 16_384
"""Most characters of them, written as JSON: a quarter of what a delivery's metadata may have."""
MAX_ERROR = 1000
"""Most characters of an error that are kept."""

OURS = ("worker", "input", "label")
"""What the metadata of every result's delivery have; a result's data cannot take their place."""


def delivery_of(task: str) -> str:
    """The id of the delivery of a task's result."""
    return f"{task}:result:0"


def keepable(task: Task, result: TaskResult) -> TaskResult:
    """The result as it can be kept: a long error is cut, and what is no JSON or too much of it is left out.

    The work is done, so what can be told of it is told.
    """
    error = result.error
    if error is not None and len(error) > MAX_ERROR:
        result = TaskResult(result.text, result.data, error[:MAX_ERROR])
    try:
        written_result(result)
    except (TypeError, ValueError) as trouble:
        log.error(
            "task %s: of its result only the text is kept, %d characters of it: %s", task.id, MAX_CONTENT, trouble
        )
        return TaskResult(result.text[:MAX_CONTENT], error=result.error)
    return result


def facts(data: Mapping[str, Any]) -> dict[str, Any]:
    """What of a result's data goes with its delivery, where hooks see it: what is short and scalar, the first few."""
    short: dict[str, Any] = {}
    left = MAX_FACTS_CHARS
    for key, value in data.items():
        if len(short) == MAX_FACTS:
            break
        if _name(key) and _scalar(value) and (size := len(json.dumps({key: value}))) <= left:
            short[key] = value
            left -= size
    return short


def _name(key: object) -> bool:
    """Printable, and neither ours nor private."""
    return isinstance(key, str) and key.isprintable() and not key.startswith("_") and bool(key) and key not in OURS


def _scalar(value: object) -> bool:
    match value:
        case bool():
            return True
        case int():
            return value.bit_length() <= 64
        case float():
            return math.isfinite(value)
        case str():
            return len(value) <= MAX_NOTE
        case _:
            return False


def result_delivery(task: Task, label: str, result: TaskResult) -> Delivery:
    """What is told of a task: its result, or that it failed, or that it is done."""
    how = task.metadata["deliver"]
    speak_as = SpeakAs(how["speak_as"])
    content = made_speakable(result.text)
    if result.error is not None:
        content, speak_as = f"I am sorry, {label} could not finish what you asked for.", SpeakAs.VERBATIM
    elif not content:
        content, speak_as = f"What you asked of {label} is done.", SpeakAs.VERBATIM
    return Delivery(
        id=delivery_of(task.id),
        room=task.room,
        content=content,
        strategy=how["strategy"],
        to=task.caller,
        task=task.id,
        max_wait=how["max_wait"],
        speak_as=speak_as,
        fold=how.get("fold", True),
        metadata={**facts(result.data), "worker": task.worker, "input": task.input[:MAX_NOTE], "label": label},
    )


def check_tellable(task: Task) -> None:
    """Raises ValueError naming the field for a task whose result no ledger would take: its work would be lost."""
    try:
        written(result_delivery(task, task.worker, TaskResult("")))
    except ValueError as error:
        raise ValueError(f"task {task.id!r:.80}: its result could not be delivered: {error}") from None


async def deliver(ledger: Ledger, task: Task, label: str, result: TaskResult) -> None:
    """Put the result into the ledger. The same task gives the same id, so doing it again does nothing.

    A ledger that is away for a while is waited for: the result is not lost.
    """
    delivery = result_delivery(task, label, result)
    while True:
        try:
            await ledger.put(delivery)
        except ConflictError:
            return  # the task was resumed and answered otherwise than before: what was told first stands
        except LedgerError as error:
            log.warning("task %s: its result cannot be stored, trying again: %s", task.id, error)
            await asyncio.sleep(LEDGER_RETRY)
        else:
            return
