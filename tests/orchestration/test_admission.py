"""Who may come in: whose name it is, which rooms there are, and a clear no otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from delivery.memory import MemoryLedger
from orchestration import Agent, Runtime, Supervisor, Swarm
from orchestration.admission import RuntimeGate
from orchestration.gate import Admission, Help, Moved, Phrase, Refused
from orchestration.identity import MemoryIdentities
from orchestration.models.scripted import Intent, Scripted
from orchestration.session import LINGER
from orchestration.workers import Context, worker
from tests.orchestration.models.double import Double
from tests.voice.doubles import FakeLeg, Recognizer, Synthesizer, Vad
from voice.cascade import CascadeChannel
from voice.channel import Caller
from voice.clock import now, run


@worker()
async def analyst(topic: str, context: Context) -> str:
    return topic


def made(**parts: Any) -> Runtime:
    def channels(_: object) -> CascadeChannel:
        return CascadeChannel(stt=Recognizer(), tts=Synthesizer(), vad=Vad())

    return Runtime(**{"state": None, "channels": channels, **parts})


def play(script: Callable[[RuntimeGate, Runtime], Awaitable[None]], runtime: Runtime | None = None) -> None:
    async def main() -> None:
        async with runtime or made() as opened:
            await script(RuntimeGate(opened), opened)

    run(main())


async def refused(admission: Awaitable[Admission]) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        await admission
    return caught.value.code, caught.value.message


# -- rooms of other processes


def test_a_caller_is_sent_to_the_process_that_has_the_room_and_proves_there_who_they_are() -> None:
    ledger, identities = MemoryLedger(), MemoryIdentities()

    def process(address: str | None) -> Runtime:
        return made(ledger=ledger, identities=identities, address=address)

    async def main() -> None:
        async with process("http://one") as one, process("http://two") as two, process(None) as three:
            bob = await RuntimeGate(one).admit("lobby", "Bob", None)
            for name, token in (("Ann", None), ("Bob", bob.token)):
                with pytest.raises(Moved) as moved:
                    await RuntimeGate(two).admit("lobby", name, token)
                assert moved.value.address == "http://one"
                admission = await RuntimeGate(one).admit("lobby", name, moved.value.token)
                assert admission.token == moved.value.token
            assert (await refused(RuntimeGate(two).admit("lobby", "Bob", "guess")))[0] == "name_taken"
            assert (await RuntimeGate(two).admit("attic", "Ann", None)).caller == Caller("Ann", "Ann")

            await three.enter("cellar")
            code, message = await refused(RuntimeGate(one).admit("cellar", "Ann", None))
            assert (code, message) == ("elsewhere", "this room is open on another server; try again later")

            await one.close_room("lobby")
            assert (await RuntimeGate(two).admit("lobby", "Bob", bob.token)).token == bob.token

    run(main())


# -- names


def test_a_name_is_whose_token_proves_it() -> None:
    async def script(gate: RuntimeGate, runtime: Runtime) -> None:
        ann = await gate.admit("lobby", " Ann ", None)
        assert ann.caller == Caller("Ann", "Ann")
        assert len(ann.token) > 30
        assert (await gate.admit("lobby", "Ann", ann.token)).token == ann.token
        for token in (None, "", "guess", ann.token + "x", "x" * 10_000):
            code, message = await refused(gate.admit("lobby", "Ann", token))
            assert code == "name_taken"
            assert "the name 'Ann' is taken in room 'lobby'; choose another" in message
        assert (await gate.admit("attic", "Ann", None)).token != ann.token

    play(script)


@pytest.mark.parametrize(
    ("room", "name", "fault"),
    [
        ("", "Ann", "room must have 1 to 64 characters, not 0"),
        ("x" * 65, "Ann", "room must have 1 to 64 characters, not 65"),
        ("a\nb", "Ann", "room must have printable characters only"),
        ("lobby", " ", "name must have 1 to 64 characters, not 0"),
        ("lobby", "\0", "name must have printable characters only"),
    ],
)
def test_a_name_that_cannot_be_is_refused(room: str, name: str, fault: str) -> None:
    async def script(gate: RuntimeGate, runtime: Runtime) -> None:
        code, message = await refused(gate.admit(room, name, None))
        assert code == "bad_name"
        assert message.startswith(fault)

    play(script)


def test_a_room_takes_so_many_names_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.identity.MAX_NAMES", 1)

    async def script(gate: RuntimeGate, runtime: Runtime) -> None:
        await gate.admit("lobby", "Ann", None)
        assert await refused(gate.admit("lobby", "Bob", None)) == ("full", "room 'lobby' already has 1 names")

    play(script)


# -- rooms


def test_only_rooms_that_there_are_let_callers_in() -> None:
    async def script(gate: RuntimeGate, runtime: Runtime) -> None:
        await gate.admit("lobby", "Ann", None)
        code, message = await refused(gate.admit("cellar", "Ann", None))
        assert code == "unknown_room"
        assert message == "room: there is no room 'cellar' here; there are: attic, lobby"
        assert runtime.session("cellar") is None

    play(script, made(rooms=["lobby", "attic"]))


def test_a_room_that_cannot_be_opened_tells_strangers_nothing_and_takes_no_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = [True]

    def channels(_: object) -> CascadeChannel:
        if broken[0]:
            raise OSError("/secret/path is gone")
        return CascadeChannel(stt=Recognizer(), tts=Synthesizer(), vad=Vad())

    async def script(gate: RuntimeGate, runtime: Runtime) -> None:
        answer = await refused(gate.admit("lobby", "Ann", None))
        assert answer == ("failed", "this room cannot be opened now; try again later")
        assert "/secret/path" in caplog.text
        broken[0] = False
        await gate.admit("lobby", "Ann", None)

    play(script, made(channels=channels))


def test_too_many_rooms_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.rooms.MAX_ROOMS", 1)

    async def script(gate: RuntimeGate, runtime: Runtime) -> None:
        await gate.admit("lobby", "Ann", None)
        assert (await refused(gate.admit("attic", "Ann", None)))[0] == "full"

    play(script)


def test_a_server_that_ends_says_so() -> None:
    async def main() -> None:
        async with made() as runtime:
            gate = RuntimeGate(runtime)
        assert await refused(gate.admit("lobby", "Ann", None)) == (
            "draining",
            "this server is about to end; try again in a moment",
        )

    run(main())


# -- in the room


def test_an_admitted_caller_is_served_and_sees_the_room() -> None:
    async def script(gate: RuntimeGate, runtime: Runtime) -> None:
        ann = await gate.admit("lobby", "Ann", None)
        assert [(c["id"], c["name"], c["state"]) for c in ann.snapshot()["callers"]] == [("Ann", "Ann", "gone")]
        leg = FakeLeg("Ann")
        serving = asyncio.ensure_future(ann.serve(leg))
        await asyncio.sleep(1)
        assert [c["state"] for c in ann.snapshot()["callers"]] == ["here"]
        assert ann.snapshot()["now"] == now()
        leg.end(hung_up=True)
        await serving
        assert [c["state"] for c in ann.snapshot()["callers"]] == ["gone"]

    play(script)


def test_who_was_admitted_and_comes_after_the_talk_ended_is_in_the_next_one() -> None:
    async def script(gate: RuntimeGate, runtime: Runtime) -> None:
        ann = await gate.admit("lobby", "Ann", None)
        first = runtime.session("lobby")
        await asyncio.sleep(LINGER + 1)
        assert runtime.session("lobby") is None
        assert ann.snapshot()["callers"] != []
        leg = FakeLeg("Ann")
        serving = asyncio.ensure_future(ann.serve(leg))
        await asyncio.sleep(1)
        session = runtime.session("lobby")
        assert session is not None
        assert session is not first
        assert set(session.channel.callers) == {"Ann"}
        assert [(c["name"], c["state"]) for c in ann.snapshot()["callers"]] == [("Ann", "here")]
        serving.cancel()
        await asyncio.wait([serving])
        assert session.channel.callers == {}

    play(script)


# -- what callers are told of the agent


def test_a_script_says_what_it_understands() -> None:
    brain = Scripted([Intent(["hello [there]"]), Intent(["bye"], shown="bye bye")], name="a script")
    help = RuntimeGate(made(orchestration=Supervisor(Agent("host", model=brain, role="Host"), [analyst]))).help()
    assert (help.agents, help.scripted) == ("Host", True)
    assert help.phrases == (Phrase("hello"), Phrase("bye bye"))
    assert help.note.startswith("A script, no language model")


def test_the_page_shows_what_any_of_several_scripts_understands() -> None:
    desk = Scripted([Intent(["hello"], answer="Hi."), Intent(["pay a bill"], answer="Yes.")], name="desk")
    billing = Scripted([Intent(["hello"], answer="Hi."), Intent(["send it again"], answer="Yes.")], name="billing")
    both = Swarm([Agent("desk", model=desk), Agent("billing", model=billing)])
    help = RuntimeGate(made(orchestration=both)).help()
    assert (help.agents, help.scripted) == ("desk, billing", True)
    assert help.phrases == (Phrase("hello"), Phrase("pay a bill"), Phrase("send it again"))
    mixed = Swarm([Agent("desk", model=desk), Agent("open", model=Double([["hi"]]))])
    assert RuntimeGate(made(orchestration=mixed)).help() == Help("desk, open")


def test_a_model_is_named_and_nobody_is_said_to_be_there_who_is_not() -> None:
    model = Agent("host", model=Double([[]], name="a model"))
    assert RuntimeGate(made(orchestration=Supervisor(model, [analyst]))).help() == Help("host")
    assert RuntimeGate(made()).help() == Help("nobody", note="Nobody answers in these rooms.")
