"""The models that the contract suite runs over. Each entry opens one, with what it is to answer.

A new provider adds an `Entry` here; `answers` it must give are text, `ToolCall`s, or lists of both.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from orchestration.models.anthropic import Anthropic
from orchestration.models.fallback import FallbackModel
from orchestration.models.livekit import LiveKitLLM
from orchestration.models.model import Model, ToolCall
from orchestration.models.prepared import Prepared
from orchestration.models.scripted import Intent, Scripted
from tests.fakes.anthropic import Answer, FakeAnthropic, Use
from tests.orchestration.models.double import Double
from voice.provider_error import Cause, ProviderError

REAL_ANTHROPIC = "SOTTOVOCE_TEST_ANTHROPIC_API_KEY"

Part = str | ToolCall
Parts = Sequence[Part]
Open = Callable[[Sequence[Parts]], AbstractAsyncContextManager[Model]]


@dataclass(frozen=True, slots=True)
class Entry:
    """`obeys`: it answers exactly as it is told, also with several calls. `real`: it is somebody's real service, which
    answers as it likes. `meters`: it tells what it costs."""

    name: str
    open: Open
    obeys: bool = True
    real: bool = False
    meters: bool = False
    key: str = ""
    """The environment's variable without which it is skipped."""

    @property
    def there(self) -> bool:
        """Whether it can be run."""
        return not self.key or bool(os.environ.get(self.key))


@asynccontextmanager
async def prepared(answers: Sequence[Parts]) -> AsyncIterator[Model]:
    yield Prepared([list(answer) for answer in answers])


@asynccontextmanager
async def scripted(answers: Sequence[Parts]) -> AsyncIterator[Model]:
    """It knows one line or call a sentence, so it gets the first answer only."""
    said = "".join(part for part in answers[0] if isinstance(part, str))
    calls = [part for part in answers[0] if isinstance(part, ToolCall)]
    call, given = (calls[0].name, calls[0].arguments) if calls else ("", {})
    yield Scripted([Intent(says=["{anything}"], answer=said, call=call, arguments=lambda slots: given)])


@asynccontextmanager
async def anthropic(answers: Sequence[Parts]) -> AsyncIterator[Model]:
    told: list[Answer] = [
        [part if isinstance(part, str) else Use(part.name, part.arguments) for part in answer] for answer in answers
    ]
    async with FakeAnthropic(told) as fake:
        model = Anthropic(api_key="a-key-of-tests", base_url=fake.url)
        try:
            yield model
        finally:
            await model.aclose()


@asynccontextmanager
async def real_anthropic(answers: Sequence[Parts]) -> AsyncIterator[Model]:
    model = Anthropic(api_key=os.environ[REAL_ANTHROPIC])
    try:
        yield model
    finally:
        await model.aclose()


@asynccontextmanager
async def livekit(answers: Sequence[Parts]) -> AsyncIterator[Model]:
    """A plugin that answers as it is told; nothing of it is left when it is closed."""
    from tests.voice import livekit_plugins

    mind = livekit_plugins.Mind(Prepared([list(answer) for answer in answers]))
    model = LiveKitLLM(mind)
    try:
        yield model
    finally:
        await model.aclose()
    assert mind.running == 0
    assert await livekit_plugins.left() == []


@asynccontextmanager
async def fallback(answers: Sequence[Parts]) -> AsyncIterator[Model]:
    """One that answers for one that is down."""
    yield FallbackModel([Double([[ProviderError("down", Cause.NETWORK)]]), Prepared([list(a) for a in answers])])


ENTRIES = [
    Entry("prepared", prepared),
    Entry("scripted", scripted, obeys=False),
    Entry("fallback", fallback),
    *([Entry("livekit", livekit)] if LiveKitLLM.check().usable else []),
    Entry("anthropic", anthropic, meters=True),
    Entry("anthropic, the real one", real_anthropic, obeys=False, real=True, meters=True, key=REAL_ANTHROPIC),
]
