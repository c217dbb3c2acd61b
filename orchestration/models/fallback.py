"""A model over several: where one fails before its first word, it is asked again or the next is; never after that.

What was streamed may be spoken already, and a tool that was called may be at work: neither is begun anew in other
words. Such a reply fails as a ProviderError, and whoever speaks says sorry.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from orchestration.content import says_something
from orchestration.models.grammar import merged
from orchestration.models.model import Delta, Message, Model, Role, TextDelta, ToolCall, ToolSpec
from orchestration.models.structured import Structured
from voice.backoff import Backoff
from voice.cancellation import cancelled_here
from voice.check import Check
from voice.patience import Patience
from voice.provider_error import Cause, ProviderError
from voice.standby import Standby, described

ALONE = 60.0
"""Seconds without words that are allowed one that nobody stands by for: it may think, and has limits of its own."""
FIRST = 6.0
"""Seconds without a first word after which the next is asked: two may hang in a row before a caller has waited 15."""
STALL = 12.0
"""Seconds without anything after the first words; a long tool call comes whole, and takes a while to be written."""

NOTHING = "it said nothing"


class FallbackModel:
    """`models` in order of preference, one or more; their breakers are shared by all rooms.

    `backoff`: how often one is asked again before the next is. `first_token` and `stall`: seconds to the first words
    and between later ones that count as a failure (None: FIRST and STALL, or ALONE where nobody stands by). `failures`,
    `pause`, `longest`: see `voice.breaker.Breaker`. It offers a grammar only where all its models do, as any other
    takes any words; and it can be held to a shape (`orchestration.models.structured`) where all can be. Raises
    ValueError and TypeError naming what is wrong.
    """

    def __init__(
        self,
        models: Sequence[Model],
        *,
        backoff: Backoff | None = None,
        first_token: float | None = None,
        stall: float | None = None,
        failures: int = 3,
        pause: float = 5.0,
        longest: float = 120.0,
    ) -> None:
        self._standby = Standby("model", models, "stream", failures=failures, pause=pause, longest=longest)
        alone = len(models) == 1
        self._first = (ALONE if alone else FIRST) if first_token is None else first_token
        self._stall = (ALONE if alone else STALL) if stall is None else stall
        for field, value in (("first_token", self._first), ("stall", self._stall)):
            if not 0 < value <= 600:
                raise ValueError(f"{field} must be seconds over 0, at most 600, not {value!r}")
        self._backoff = backoff or Backoff()
        self.name = self._standby.name
        if all(callable(getattr(model, "grammar", None)) for model in models):
            self.grammar = self._grammar
        if all(isinstance(model, Structured) for model in models):
            self.write_json = self._write_json

    def __repr__(self) -> str:
        return f"FallbackModel({self.name})"

    @property
    def models(self) -> tuple[Model, ...]:
        """What it is made of, in order of preference."""
        return self._standby.providers

    @property
    def preemptive(self) -> bool:
        """Whether the one that would be asked now is asked ahead (`orchestration.preemptive`)."""
        return getattr(self.models[self._standby.preferred], "preemptive", True) is True

    async def prepare(self) -> None:
        """Make all ready that can be; one that fails is done without. Raises ProviderError when none is left."""
        await self._standby.prepare()

    async def aclose(self) -> None:
        """Close those that can be."""
        await self._standby.aclose()

    @classmethod
    def check(cls) -> Check:
        """It works as far as those it is made of do."""
        return Check("fallback", True, "falls from one model to the next")

    def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        """Answer the conversation so far. Raises ProviderError: all failed, or one did after it had begun to answer."""
        return self._fall(
            lambda model: model.stream(messages, prompt=prompt, tools=tools), done=_may_be_silent(messages)
        )

    def _write_json(
        self, messages: Sequence[Message], *, prompt: str = "", schema: Mapping[str, Any]
    ) -> AsyncGenerator[Delta, None]:
        """See `orchestration.models.structured.Structured`; raises what `stream` does."""
        return self._fall(lambda model: _structured(model).write_json(messages, prompt=prompt, schema=schema))

    async def _fall(
        self, ask: Callable[[Model], AsyncGenerator[Delta, None]], *, done: bool = False
    ) -> AsyncGenerator[Delta, None]:
        """The answer of the first that gives one. `done`: none at all is one, too."""
        request = self._standby.request(self._backoff)
        while True:
            which = await request.next(rounds=False)
            answer = _Answer(Patience())
            try:
                deltas = ask(self.models[which])
                async with aclosing(deltas), answer.patience:
                    while (delta := await self._next(deltas, answer, which)) is not None:
                        answer.take(delta)
                        yield delta
                if not answer.begun and not done:
                    raise ProviderError(self._standby.name_of(which), Cause.ANSWER, NOTHING)
            except Exception as error:
                failure = error
            except BaseException:  # nobody wants the rest
                (request.worked if answer.came else request.dropped)()
                raise
            else:
                request.worked()
                return
            if answer.begun:
                request.failed(failure, then="the reply fails, as its words may be out")
                raise self._broken_off(which, failure) from None
            hopeless = isinstance(failure, ProviderError) and (
                failure.cause is Cause.TIMEOUT or failure.detail == NOTHING
            )  # at least where another could be asked instead
            if (hopeless and request.spare()) or not await request.retry(failure):
                request.failed(failure)

    async def _next(self, deltas: AsyncGenerator[Delta, None], answer: _Answer, which: int) -> Delta | None:
        """What comes next; None at the end. Raises ProviderError when nothing does."""
        seconds = self._stall if answer.came else self._first
        try:
            return await answer.patience.wait(anext(deltas, None), seconds)
        except TimeoutError:
            if answer.patience.over:
                name = self._standby.name_of(which)
                raise ProviderError(name, Cause.TIMEOUT, f"it said nothing for {seconds:g} s") from None
            raise
        except asyncio.CancelledError:
            if cancelled_here():
                raise
            raise ProviderError(self._standby.name_of(which), Cause.ANSWER, "it was cancelled") from None

    def _broken_off(self, which: int, error: Exception) -> ProviderError:
        if isinstance(error, ProviderError):
            return error
        return ProviderError(self._standby.name_of(which), Cause.ANSWER, f"its answer broke off: {described(error)}")

    def _grammar(self) -> str:
        """All that any of them understands."""
        return merged([model.grammar() for model in self._standby.providers])  # type: ignore[attr-defined]


def _may_be_silent(messages: Sequence[Message]) -> bool:
    """Whether a reply without words makes sense: Claude often adds none to a tool's result when it has said all before
    it called the tool. (https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons, "empty responses")
    """
    if not messages or messages[-1].role is not Role.TOOL:
        return False
    for message in reversed(messages):
        if message.role is Role.USER:
            return False
        if message.role is Role.ASSISTANT and says_something(message.text):
            return True
    return False


def _structured(model: Model) -> Structured:
    assert isinstance(model, Structured), "all are"
    return model


class _Answer:
    """How far a model has come."""

    __slots__ = ("begun", "came", "patience")

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.came = False
        """Something came."""
        self.begun = False
        """Words, or a tool call: they cannot be taken back."""

    def take(self, delta: Delta) -> None:
        self.came = True
        if not self.begun:
            self.begun = isinstance(delta, ToolCall) or (isinstance(delta, TextDelta) and says_something(delta.text))
