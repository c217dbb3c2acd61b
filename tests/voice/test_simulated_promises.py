"""What the simulated channel promises whatever its callers do, at random and for an hour."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.voice.simulated_scenes import LONG, TINY, Told, pieces
from voice import clock
from voice.backchannels import takes_floor
from voice.channel import Utterance
from voice.events import (
    SpeakingEnded,
    SpeakingStarted,
    SpeechStarted,
    WordsHeard,
)
from voice.floor import Blocker, FloorChanged
from voice.simulated import SimulatedCaller, SimulatedChannel

# -- whatever happens

SAID = ["hello there", "mm-hm", "stop", "what about the cost of it", "okay", "yes please"]
LINES = ["On it.", LONG, "Shall I? Really?", ""]
STEP = st.one_of(
    st.tuples(st.just("say"), st.sampled_from(SAID)),
    st.tuples(st.just("noise"), st.sampled_from([0.02, 0.3, 2.0, 9.0])),
    st.tuples(st.sampled_from(["hold", "drop", "back", "gone"]), st.none()),
    st.tuples(st.sampled_from(["line", "over", "stream"]), st.sampled_from(LINES)),
    st.tuples(st.just("stop"), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([0.05, 0.3, 1.0, 4.0])),
)


class Improvisation:
    """Two callers and an agent who do anything at any time."""

    def __init__(self, channel: SimulatedChannel) -> None:
        self.channel = channel
        self.callers = [channel.join("anna"), channel.join("bert", jitter=0.1)]
        self.said: list[Utterance] = []
        self.urgent: set[str] = set()
        self.voices: list[tuple[float, float]] = []
        """From when to when somebody who was connected spoke words."""

    async def run(self, script: list[tuple[int, tuple[str, Any]]]) -> None:
        answering = asyncio.create_task(self.answer())
        async with asyncio.TaskGroup() as group:
            for who, (what, detail) in script:
                self.act(group, self.callers[who], what, detail)
                await asyncio.sleep(detail if what == "wait" else 0.01)
            for caller in self.callers:
                caller.reconnect()
        await asyncio.sleep(60)
        answering.cancel()

    async def answer(self) -> None:
        async for turn in self.channel.turns():
            self.said.append(self.channel.say(pieces(0.3, "All right. ", 1.0, "Let me see."), reply_to=turn))

    def act(self, group: asyncio.TaskGroup, caller: SimulatedCaller, what: str, detail: Any) -> None:
        match what:
            case "say" | "noise" if not caller.speaking:
                group.create_task(self.speak(caller, detail))
            case "hold":
                caller.hold()
            case "drop":
                caller.drop()
            case "back":
                caller.reconnect()
            case "gone":
                caller.hang_up()
            case "line":
                self.said.append(self.channel.say(detail))
            case "over":
                self.said.append(self.channel.say(detail, over=True))
                self.urgent.add(self.said[-1].id)
            case "stream":
                self.said.append(self.channel.say(pieces(detail, 0.7, " And more.")))
            case "stop" if self.said:
                self.channel.stop(self.said[-1])

    async def speak(self, caller: SimulatedCaller, what: str | float) -> None:
        if isinstance(what, float):
            await caller.noise(what)
        else:
            begun, ended = await caller.say(what)
            self.voices.append((begun, ended))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), STEP), max_size=25))
def test_whatever_happens(script: list[tuple[int, tuple[str, Any]]]) -> None:
    async def main() -> None:
        async with SimulatedChannel(apology="") as channel:
            told: Told = []
            channel.listen(lambda event, at: told.append((at, event)))
            play = Improvisation(channel)
            await play.run(script)
            assert [at for at, _ in told] == sorted(at for at, _ in told)
            for utterance in play.said:
                assert utterance.done
                assert utterance.heard + utterance.remainder == utterance.text
                assert utterance.complete == (utterance.interrupted_by is None)
                assert utterance.confirmed
            assert channel.floor.open
            ended = [e.utterance for _, e in told if isinstance(e, SpeakingEnded)]
            assert sorted(ended) == sorted(u.id for u in play.said)
            for caller in play.callers:
                spans = sorted((begin, end, line.utterance.id) for line in caller.lines for begin, end in line.spans)
                for (_, end, _), (begin, _, _) in itertools.pairwise(spans):
                    assert end <= begin + TINY, "two utterances at one ear at once"
            # nothing begins over a voice that has been known for a moment, unless it was meant to
            known = known_voices(told)
            begins = [(at, e.utterance) for at, e in told if isinstance(e, SpeakingStarted)]
            begun: set[str] = set()
            for at, id in begins:
                over = any(begin < at - 0.2 and at < end for begin, end in known)
                if over and id in begun:  # it goes on for a listener
                    assert not takes_floor([e.text for t, e in told if isinstance(e, WordsHeard) and t <= at][-1])
                elif id not in play.urgent:
                    assert not over
                begun.add(id)

    clock.run(main())


def known_voices(told: Told) -> list[tuple[float, float]]:
    """From when to when the floor was held by a caller who spoke."""
    spans, since = [], None
    for at, event in told:
        if isinstance(event, FloorChanged):
            speaking = event.view.blocker is Blocker.CALLER_SPEAKING
            if speaking and since is None:
                since = at
            elif not speaking and since is not None:
                spans.append((since, at))
                since = None
    return spans


def test_what_a_caller_does_after_the_channel_closed_reaches_nobody() -> None:
    heard: list[object] = []

    async def main() -> None:
        async with SimulatedChannel() as channel:
            channel.join("anna")
            channel.listen(lambda event, at: heard.append(event))
        told = len(heard)
        channel.tell(SpeechStarted("anna"))
        await asyncio.sleep(30)
        assert len(heard) == told

    clock.run(main())
