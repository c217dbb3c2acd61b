"""Hooks: who is called when, what they may change, and that none of them can break a call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from delivery.desk import Refuse
from orchestration import ChannelCategory, ChannelType, RoomEvent, Runtime, TextContent
from orchestration.hooks import PATIENCE, REFUSABLE, Hook, HookContext, HookEvent, HookExecution, Hooks, HookTrigger
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


@pytest.mark.parametrize("trigger", sorted(set(HookTrigger) - REFUSABLE))
def test_what_has_happened_cannot_be_refused_and_the_rest_is_told(
    trigger: HookTrigger, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[str] = []

    async def main() -> None:
        hooks = Hooks()
        for hook in (refuse, lambda event, context: called.append(event.text)):
            hooks.add(trigger, SYNC, 0, hook)
        assert await hooks.run(replace(EVENT, trigger=trigger), CONTEXT, print) == EVENT.text

    run(main())
    assert called == [EVENT.text]
    assert f"for {trigger}: it is told of what has happened and cannot refuse it" in caplog.text


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
        ((EVENT.trigger, SYNC, "first", add("x")), TypeError, "priority: 'first' is no whole number"),
        ((EVENT.trigger, SYNC, 0, "a name"), TypeError, "hook: 'a name' is no function"),
        (
            (EVENT.trigger, SYNC, 0, lambda event: None),
            TypeError,
            r"no function of two; give one of \(event, context\)",
        ),
    ],
)
def test_a_wrong_registration_is_refused(given: Any, error: type[Exception], fault: str) -> None:
    with pytest.raises(error, match=fault):
        Hooks().add(*given)


def test_a_decorator_without_its_trigger_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"trigger: <function .* is not known; use 'before_deliver', "):

        @Runtime(state=None).hook  # type: ignore[arg-type]
        def never_called(event: HookEvent, context: HookContext) -> None: ...


def test_triggers_and_executions_may_be_given_by_name() -> None:
    hooks = Hooks()
    hooks.add("on_transcription", "sync", 0, add("x"))  # type: ignore[arg-type]
    assert run(fire(hooks)) == "hello x"


# -- what is said in a room

SAID = RoomEvent("e1", "lobby", "ws", "ann", TextContent("hello"), metadata={"intent": "billing"})


async def broadcast(*hooks: Hook, execution: HookExecution = SYNC) -> RoomEvent:
    """What the hooks make of it."""
    made = Hooks()
    for hook in hooks:
        made.add(HookTrigger.BEFORE_BROADCAST, execution, 0, hook)
    async with asyncio.TaskGroup() as group:

        def beside(hook: Coroutine[Any, Any, object]) -> None:
            group.create_task(hook)

        return await made.broadcast(HookTrigger.BEFORE_BROADCAST, SAID, CONTEXT, beside)


def test_a_hook_may_say_it_in_other_words_or_know_more_of_it() -> None:
    async def stamp(event: RoomEvent, context: HookContext) -> RoomEvent:
        return event.stamped({"seen": event.text})

    event = run(broadcast(add("there"), stamp, add("again")))
    assert (event.text, event.metadata) == ("hello there again", {"intent": "billing", "seen": "hello there"})
    assert run(broadcast()) is SAID
    assert run(broadcast(stamp, execution=ASYNC)) is SAID


def test_a_hook_cannot_change_who_said_it() -> None:
    def disguise(event: RoomEvent, context: HookContext) -> RoomEvent:
        return replace(
            event,
            sender_id="bob",
            channel_id="x",
            channel_type=ChannelType.SYSTEM,
            category=ChannelCategory.SYSTEM,
            content=TextContent("boo"),
        )

    assert run(broadcast(disguise)) == replace(SAID, content=TextContent("boo"))


@pytest.mark.parametrize(
    ("result", "fault"),
    [
        (7, "int is neither text nor this event"),
        (replace(SAID, id="e2"), "RoomEvent is neither text nor this event"),
        (replace(SAID, room="attic"), "RoomEvent is neither text nor this event"),
        ("", "body: it is empty"),
        ("x" * 20_001, "body: 20001 characters are too many"),
    ],
)
def test_what_cannot_be_said_is_ignored_and_told(result: Any, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    assert run(broadcast(lambda event, context: result, add("x"))).text == "hello x"
    assert fault in caplog.text


def test_hooks_of_one_room_are_called_in_it_and_among_those_of_all() -> None:
    hooks = Hooks()
    hooks.add(EVENT.trigger, SYNC, 1, add("all"))
    hooks.add(EVENT.trigger, SYNC, 0, add("here"), "lobby")
    hooks.add(EVENT.trigger, SYNC, 2, add("there"), "attic")
    assert run(fire(hooks)) == "hello here all"
    hooks.forget("lobby")
    assert run(fire(hooks)) == "hello all"
    assert hooks.any(EVENT.trigger, "anywhere")
    assert not hooks.any(HookTrigger.ON_HANDOFF, "lobby")
    elsewhere = hooks.elsewhere()
    hooks.add(EVENT.trigger, SYNC, 3, add("later"))
    assert run(fire(elsewhere)) == "hello all later"
