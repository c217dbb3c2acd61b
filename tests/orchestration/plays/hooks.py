"""The hooks of a troupe: they refuse, rewrite and fail, and note what went past them."""

from __future__ import annotations

from delivery.desk import Refuse
from orchestration.event import RoomEvent
from orchestration.hooks import HookContext, HookEvent, HookExecution, HookTrigger
from orchestration.runtime import Runtime
from tests.orchestration.plays.troupe import Asked, Planned, Troupe
from voice.clock import now


class Hooks:
    """They stay the same when a runtime is closed and another one is opened."""

    def __init__(self, troupe: Troupe) -> None:
        self._troupe = troupe
        self._handing: tuple[str | None] | None = None

    def join(self, runtime: Runtime) -> None:
        """Have the hooks of a troupe in a runtime."""
        sync = HookExecution.SYNC
        runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=sync)(self._before)
        runtime.hook(HookTrigger.AFTER_BROADCAST, execution=sync)(self._after)
        runtime.hook(HookTrigger.ON_HANDOFF, execution=sync)(self._handed)
        runtime.hook(HookTrigger.ON_PHASE_TRANSITION, execution=sync)(self._stepped)
        runtime.hook(HookTrigger.BEFORE_DELIVER, execution=sync)(self._meddle)
        runtime.hook(HookTrigger.ON_TASK_DELEGATED, execution=sync)(self._delegated)

    def _before(self, event: RoomEvent, context: HookContext) -> RoomEvent | str | None:
        asks = event.category == "transport"
        try:
            changed = self._meddle_with(event.text)
        except Refuse:
            if asks:
                self._troupe.refused.add(event.id)
            raise
        finally:
            if asks and event.id not in self._troupe.asked:
                self._troupe.asked[event.id] = Asked(event.id, event.sender_id, event.text, self._troupe.holder, now())
        return changed

    def _after(self, event: RoomEvent, context: HookContext) -> None:
        if not event.id.startswith(("handoff-", "child-")):
            self._troupe.told.append(event)

    def _handed(self, event: HookEvent, context: HookContext) -> None:
        self._handing = (event.metadata["to_agent"],)

    def _stepped(self, event: HookEvent, context: HookContext) -> None:
        self._troupe.holder = event.metadata["to_agent"]
        if self._handing not in (None, (self._troupe.holder,)):
            self._troupe.fault(f"handed over to {self._handing}, and then to {self._troupe.holder}")
        self._handing = None
        self._troupe.holders.append((now(), self._troupe.holder))

    def _delegated(self, event: HookEvent, context: HookContext) -> str | None:
        self._troupe.delegated[event.id] = event.metadata["caller"]
        try:
            return self._meddle_with(event.text)
        except Refuse:
            del self._troupe.delegated[event.id]
            raise

    def _meddle(self, event: HookEvent, context: HookContext) -> str | None:
        return self._meddle_with(event.text)

    def _meddle_with(self, text: str) -> str | None:
        match self._troupe.draw("hook", self._troupe.play.hooks):
            case "refuse":
                raise Refuse("not here")
            case "rewrite":
                return f"{text} indeed"
            case "fail":
                raise Planned("a hook failed")
        return None
