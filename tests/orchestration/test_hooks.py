"""Hooks: who is called when, what they may change, and that none of them can break a call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import pytest

from delivery.desk import Refuse
from orchestration.hooks import PATIENCE, Hook, HookContext, HookEvent, HookExecution, Hooks, HookTrigger
from voice.clock import now, run

EVENT = HookEvent(HookTrigger.ON_TRANSCRIPTION, "lobby", "turn-1", "hello", {"caller": "ann"})
CONTEXT = HookContext(None, "lobby")
SYNC, ASYNC = HookExecution.SYNC, HookExecution.ASYNC


async def fire(hooks: Hooks, event: HookEvent = EVENT) -> str:
    """The text the hooks make of the event, once all of them are through."""
    async with asyncio.TaskGroup() as group:

        def beside(hook: Coroutine[Any, Any, object]) -> None:
            group.create_task(hook)

        return await hooks.run(event, CONTEXT, beside)


def hooked(*hooks: Hook, execution: HookExecution = SYNC, priority: int = 0) -> Hooks:
    made = Hooks()
    for hook in hooks:
        made.add(EVENT.trigger, execution, priority, hook)
    return made


def add(word: str) -> Hook:
    return lambda event, context: f"{event.text} {word}"


def fail(event: HookEvent, context: HookContext) -> str:
    raise OSError("no network")


async def refuse(event: HookEvent, context: HookContext) -> str:
    raise Refuse("not now")


async def dawdle(event: HookEvent, context: HookContext) -> str:
    await asyncio.sleep(3600)
    return "at last"


async def stray(event: HookEvent, context: HookContext) -> str:
    asleep = asyncio.ensure_future(asyncio.sleep(9))
    asleep.cancel()
    await asleep
    return "never"


def test_without_hooks_the_text_stays() -> None:
    assert run(fire(Hooks())) == "hello"


def test_a_hook_is_told_what_happened_and_where() -> None:
    seen: list[tuple[HookEvent, HookContext]] = []
    run(fire(hooked(lambda event, context: seen.append((event, context)))))
    assert seen == [(EVENT, CONTEXT)]


def test_hooks_rewrite_in_order_of_priority_and_then_of_registration() -> None:
    hooks = Hooks()
    for word, priority in (("late", 5), ("first", 1), ("second", 1), ("early", -3)):
        hooks.add(EVENT.trigger, SYNC, priority, add(word))
    assert run(fire(hooks)) == "hello early first second late"


def test_only_the_hooks_of_the_trigger_are_called() -> None:
    hooks = hooked(add("said"))
    hooks.add(HookTrigger.BEFORE_DELIVER, SYNC, 0, add("told"))
    assert run(fire(hooks)) == "hello said"


def test_async_hooks_see_what_was_rewritten_before_them_and_change_nothing() -> None:
    seen: list[str] = []

    async def look(event: HookEvent, context: HookContext) -> str:
        await asyncio.sleep(100)
        seen.append(event.text)
        return "ignored"

    hooks = Hooks()
    hooks.add(EVENT.trigger, SYNC, 0, add("one"))
    hooks.add(EVENT.trigger, ASYNC, 1, look)
    hooks.add(EVENT.trigger, SYNC, 2, add("two"))
    assert run(fire(hooks)) == "hello one two"
    assert seen == ["hello one"]


def test_async_hooks_are_not_waited_for() -> None:
    async def main() -> None:
        started: list[Coroutine[Any, Any, object]] = []
        await hooked(dawdle, execution=ASYNC).run(EVENT, CONTEXT, started.append)
        assert now() == 0.0
        (waiting,) = started
        waiting.close()

    run(main())


@pytest.mark.parametrize("hook", [fail, stray])
def test_a_broken_hook_is_logged_and_skipped(hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    for execution in HookExecution:
        assert run(fire(hooked(add("one"), hook, add("two"), execution=execution))) in ("hello one two", "hello")
    assert [r.levelno for r in caplog.records] == [logging.ERROR] * 2
    assert all("failed and is skipped" in r.message and r.exc_info for r in caplog.records)


def test_a_hook_that_dawdles_is_skipped() -> None:
    async def main() -> None:
        assert await fire(hooked(dawdle, add("two"))) == "hello two"
        assert now() == PATIENCE

    run(main())


def test_a_sync_hook_may_refuse_and_the_rest_is_not_called() -> None:
    called: list[str] = []

    async def main() -> None:
        with pytest.raises(Refuse, match="not now"):
            await hooked(refuse, lambda event, context: called.append("x")).run(EVENT, CONTEXT, print)

    run(main())
    assert called == []


def test_an_async_hook_cannot_refuse(caplog: pytest.LogCaptureFixture) -> None:
    assert run(fire(hooked(refuse, execution=ASYNC))) == "hello"
    assert "cannot refuse; make it SYNC" in caplog.text


def test_what_is_no_text_is_ignored_and_told(caplog: pytest.LogCaptureFixture) -> None:
    assert run(fire(hooked(lambda event, context: 42))) == "hello"
    assert "int is no text" in caplog.text


def test_an_empty_text_is_a_text() -> None:
    assert run(fire(hooked(lambda event, context: ""))) == ""


def test_being_cancelled_goes_through() -> None:
    async def main() -> None:
        asking = asyncio.create_task(fire(hooked(dawdle)))
        await asyncio.sleep(1)
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
        assert now() == 1.0

    run(main())


def test_a_hook_added_by_a_hook_is_called_the_next_time() -> None:
    hooks = Hooks()
    hooks.add(EVENT.trigger, SYNC, 0, lambda event, context: hooks.add(EVENT.trigger, SYNC, 0, add("new")))
    assert run(fire(hooks)) == "hello"
    assert run(fire(hooks)) == "hello new"


@pytest.mark.parametrize(
    ("given", "error", "fault"),
    [
        (("on_tuesday", SYNC, 0, add("x")), ValueError, "trigger: 'on_tuesday' is not known; use 'before_deliver', "),
        ((EVENT.trigger, "later", 0, add("x")), ValueError, "execution: 'later' is not known; use 'sync', 'async'"),
        ((EVENT.trigger, SYNC, 0, "a name"), TypeError, "hook: 'a name' is no function"),
    ],
)
def test_a_wrong_registration_is_refused(given: Any, error: type[Exception], fault: str) -> None:
    with pytest.raises(error, match=fault):
        Hooks().add(*given)


def test_triggers_and_executions_may_be_given_by_name() -> None:
    hooks = Hooks()
    hooks.add("on_transcription", "sync", 0, add("x"))  # type: ignore[arg-type]
    assert run(fire(hooks)) == "hello x"
