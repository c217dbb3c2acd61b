"""What is typed, played in virtual time on the scenes' small house: the same call that a terminal shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from orchestration.chat import introduction, play
from orchestration.gate import Help, Phrase
from orchestration.runtime import Runtime
from orchestration.transcript import Entry, Transcript
from orchestration.typist import HELP, MAX_LINE, PATIENCE
from orchestration.workers import Context, worker
from tests.scenarios.scenes import SECOND, TICK, house
from voice.clock import now, run

COMMERCIALLY = "Commercially boats pay off after nine years of patient and careful use."


@worker(role="Endless analyst")
async def endless(topic: str, context: Context) -> str:
    await asyncio.sleep(2 * PATIENCE)
    return f"{topic} are endless."


class Page:
    """A screen in memory. A script's lines come at once, typed ones at their seconds."""

    def __init__(self, lines: Sequence[str] | Sequence[tuple[float, str]]) -> None:
        self.patient = not lines or isinstance(lines[0], str)
        self.told: list[str] = []
        self.entries: list[Entry] = []
        self.seen: list[tuple[float, str]] = []
        self._lines = [(0.0, line) if isinstance(line, str) else line for line in lines]

    def tell(self, text: str) -> None:
        self.told.append(text)

    def show(self, transcript: Transcript) -> None:
        self.seen += [(now(), entry.text) for entry in transcript.recent if entry.kind in ("agent", "result")]
        self.entries += transcript.take()

    async def typed(self) -> AsyncIterator[str]:
        for at, line in self._lines:
            await asyncio.sleep(max(at - now(), 0))
            yield line

    def texts(self, *kinds: str) -> list[str]:
        return [e.text + (" -" if e.cut else "") for e in self.entries if e.kind in kinds]

    def one(self, text: str) -> Entry:
        (found,) = [entry for entry in self.entries if text in entry.text]
        return found


def played(*lines: str | tuple[float, str], runtime: Runtime | None = None) -> Page:
    page = Page(lines)  # type: ignore[arg-type]
    run(play(runtime or house(), page))
    return page


def test_a_script_is_said_line_by_line_and_what_is_owed_is_waited_for() -> None:
    page = played("look into boats", "what time is it")
    assert page.texts("you", "agent", "result") == [
        "look into boats",
        "On it. Ask me something else meanwhile.",
        "what time is it",
        "It is noon.",
        f"My analysts say: Technically boats are sound. {COMMERCIALLY}",
    ]
    asked, answered = page.one("what time"), page.one("Ask me")
    assert asked.at >= answered.at + 7 / 4  # seven words at four a second
    assert page.texts("note")[-1] == "(hung up)"


def test_words_appear_as_they_are_heard() -> None:
    page = played("tell me a story")
    first = page.one("Once upon").at
    growth = {text: at - first for at, text in reversed(page.seen) if text}
    assert growth["Once upon a time a boat"] == pytest.approx(6 / 4, abs=TICK)
    assert growth["Once upon a time a boat met a train."] == pytest.approx(9 / 4, abs=TICK)


def test_what_goes_on_underneath_is_told_with_why_it_waits() -> None:
    page = played("look into boats", "tell me a story")
    assert page.texts("task")[:2] == ["boats: running", "Technical analyst: reading"]
    assert page.texts("delivery")[0] == "boats: queued (agent_speaking)"
    assert page.texts("delivery")[-1] == "boats: heard"
    assert page.one("queued").at == pytest.approx(page.one("boats: running").at + SECOND, abs=TICK)
    assert "open" in page.texts("floor")
    assert "user_holds (caller_speaking)" in page.texts("floor")


def test_typing_while_the_agent_speaks_cuts_it() -> None:
    page = played((3.0, "tell me a story"), (5.5, "what time is it"), (12.0, "/quit"))
    cut, asked, noon = page.one("Once upon"), page.one("what time"), page.one("noon")
    assert cut.cut
    assert [e for e in page.entries if e in (cut, asked, noon)] == [cut, asked, noon]
    assert len(cut.text.split()) < 12
    assert noon.at - 5.5 < 1.0
    assert not noon.cut


def test_a_short_word_is_no_click_and_a_sign_of_listening_cuts_nothing() -> None:
    page = played((1.0, "tell me a story"), (3.5, "mm-hm"), (10.0, "stop"), (13.0, "/quit"))
    assert not page.one("Once upon").cut
    assert page.one("(a sign of listening: no turn)").at < 4.5
    assert page.texts("agent")[-1] == "All right."


def test_say_over_waits_for_the_agent_and_speaks_into_its_line() -> None:
    page = played("tell me a story", "/say-over wait")
    assert page.texts("you", "agent") == ["tell me a story", "Once upon a -", "wait", "All right."]


def test_what_was_cut_is_told_again_from_there() -> None:
    page = played("look into boats", "/wait 6.5", "/say-over wait")
    first, rest = page.texts("result")
    assert first.endswith(" -")
    assert rest.startswith("As I was saying: ")
    heard = first.removesuffix(" -") + " " + rest.removeprefix("As I was saying: ")
    assert heard.count("careful use") == 1
    assert "Technically boats are sound. Commercially" in heard
    assert "boats: cut (you); the rest is owed" in page.texts("delivery")


def test_who_hangs_up_is_told_on_coming_back_even_when_the_room_was_given_up() -> None:
    page = played("look into boats", "/hangup", "hello", "/wait 100", "/rejoin", "/wait")
    assert [text for text in page.texts("note") if "nobody" not in text] == [
        "(in the room)",
        "(hung up)",
        "(in the room)",
        "(hung up)",
    ]
    assert page.one("nobody hears you; /resume or /rejoin")
    assert page.texts("delivery")[0] == "boats: queued (nobody)"
    assert page.one("careful use").at > 100


def test_hold_and_a_lost_connection() -> None:
    page = played("/hold", "look into boats", "/resume", "/drop", "/wait 3", "/rejoin", "what time is it")
    assert page.texts("you") == ["what time is it"]
    assert page.texts("agent") == ["It is noon."]
    assert page.one("on hold").at < page.one("connection is broken").at
    assert "empty (on_hold)" in page.texts("floor")
    assert "empty (reconnecting)" in page.texts("floor")


def test_a_noise_takes_its_time_and_makes_no_turn() -> None:
    page = played("/noise 2", "/press 5", "what time is it")
    assert page.one("(a sound without words: no turn)").at - page.one("(a noise of 2 s)").at > 2
    assert page.one("(key 5)")
    assert page.texts("agent") == ["It is noon."]


def test_commands_do_not_wait_for_what_is_being_said() -> None:
    page = played((0.5, "/noise 20"), (1.0, "/hangup"), (2.0, "/quit"))
    assert page.one("(hung up)").at == pytest.approx(1.0, abs=TICK)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("/nonsense now", "there is no /nonsense; /help lists what there is"),
        ("/noise much", "/noise takes seconds, up to 60: /noise 3"),
        ("/noise 61", "/noise takes seconds, up to 60: /noise 3"),
        ("/wait nan", "/wait takes seconds, up to 3600: /wait 3"),
        ("/press x", "digit must be one of"),
        ("/say-over", "write /say-over and the words"),
        ("/rejoin", "you are in the room already"),
        ("word " * 300, f"1499 characters are too many to be said at once; {MAX_LINE} can be"),
    ],
)
def test_mistakes_are_named(line: str, answer: str) -> None:
    page = played(line)
    assert page.one(answer)
    assert page.texts("you") == []


def test_say_over_does_not_wait_for_ever() -> None:
    page = played((1.0, "/say-over wait"), (15.0, "/quit"))
    assert page.one("the agent says nothing").at == pytest.approx(11.0, abs=TICK)


def test_a_script_does_not_wait_for_ever() -> None:
    page = played("look into boats", runtime=house(workers=[endless]))
    assert page.one(f"waited {PATIENCE:g} s, and something is still owed")
    assert page.texts("note")[-1] == "(still owed, and gone with this call: boats)"


def test_help_is_told_apart_from_the_call() -> None:
    page = played("", "/help")
    assert page.told[1:] == [HELP]
    assert max(map(len, HELP.splitlines())) < 80


def test_the_introduction_says_what_is_understood() -> None:
    help = Help("scripted", scripted=True, note="A script.", phrases=(Phrase("hello"), Phrase("look into boats")))
    assert introduction(help).splitlines()[1:] == ["A script.", "Say, for example: hello | look into boats"]
    assert len(introduction(Help("some model")).splitlines()) == 1


def test_a_mistake_of_the_house_is_not_hidden() -> None:
    class Broken(Page):
        async def typed(self) -> AsyncIterator[str]:
            raise OSError("no keyboard")
            yield ""

    with pytest.raises(ExceptionGroup) as caught:
        run(play(house(), Broken([])))
    assert caught.value.subgroup(OSError)
