"""The verdict on a play that was given: what was heard, read, told and owed, against the troupe's account."""

from __future__ import annotations

from collections import Counter
from typing import Any

from delivery.ledger import Entry
from orchestration.event import RoomEvent
from tests.orchestration.plays.channel import Channel
from tests.orchestration.plays.play import READERS, Mood
from tests.orchestration.plays.stage import Stage
from tests.orchestration.plays.work import FOUND
from voice.channel import APOLOGY
from voice.events import Turn


class Verdict:
    """On a play whose stage is closed."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._troupe = stage.troupe
        self._moody = any(isinstance(step, Mood) for _, step in stage.troupe.play.steps)

    def judge(self) -> None:
        """Raises AssertionError."""
        troupe = self._troupe
        assert not troupe.faults, "\n".join(troupe.faults)
        self._turns_heard()
        self._turns_written()
        self._broadcasts()
        self._results()

    def _turns_heard(self) -> None:
        troupe = self._troupe
        for channel in self._stage.channels:
            for turn in channel.taken:
                asked = troupe.asked.get(turn.id)
                replies = [said for said in troupe.said if said.reply_to and said.reply_to.id == turn.id]
                if turn.id in troupe.refused:
                    assert not replies, f"{turn.text!r} was refused, and is answered"
                    continue
                if not replies:
                    cut = asked is None or self._with_human(asked.at) or self._ended(channel, turn)
                    assert cut, f"{turn.text!r} of {turn.caller} is not answered"
                    continue
                # It waited for another's; what comes of it is said still.
                overdue = replies[0].utterance.text == APOLOGY
                assert len(replies) <= 2 + overdue, f"{turn.text!r} is answered {len(replies)} times"
                first = replies[0].utterance
                assert first.done
                if len(replies) > 1:
                    assert overdue or first.interrupted_by == "failed", (
                        f"{turn.text!r} is answered twice: {first.interrupted_by}"
                    )
                elif not first.complete:
                    assert first.interrupted_by, first
                    if first.interrupted_by == "failed":
                        left = self._ended(channel, turn) or self._gone(channel, turn)
                        assert left, f"nobody said sorry for {turn.text!r}"

    def _ended(self, channel: Channel, turn: Turn) -> bool:
        """The talk ended before it could be answered."""
        return channel is not self._stage.channels[-1] or not channel._open

    def _with_human(self, since: float) -> bool:
        """Nobody had the conversation at some time since then."""
        holders = self._troupe.holders
        before = [holder for at, holder in holders if at <= since][-1:]
        return None in [*before, *(holder for at, holder in holders if at > since)]

    def _gone(self, channel: Channel, turn: Turn) -> bool:
        return any(at >= turn.ended and who == turn.caller for at, who in channel.left)

    def _turns_written(self) -> None:
        troupe = self._troupe
        for number, who, channel, task in self._stage.answers:
            result: Any = task.result()
            if isinstance(result, Exception):
                assert self._stage.restarts, f"t{number}: {result!r}"
                continue
            if result.event is None:
                assert result.refused, f"t{number} is neither answered nor refused"
                continue
            asked = troupe.asked[result.event.id]
            if result.reply is None and not result.refused:
                excused = self._with_human(asked.at) or (self._moody and channel in READERS)
                assert excused, f"t{number} of {who} has no answer"
            if result.reply is not None:
                assert result.reply.text.strip(), f"t{number} has an empty answer"

    def _broadcasts(self) -> None:
        troupe = self._troupe
        times = Counter(event.id for event in troupe.told)
        assert not [id for id, n in times.items() if n > 1], "AFTER_BROADCAST twice"
        for said in troupe.said:
            utterance = said.utterance
            heard = {line.heard.strip() for _, line in self.lines if line.utterance is utterance} - {""}
            if utterance.reply_to and utterance.text.strip() == APOLOGY:
                continue
            if said.reply_to is None and any(_same(event.text, utterance.text) for event in troupe.told):
                continue  # what was written to somebody is said aloud too
            assert (utterance.id in times) == bool(utterance.heard.strip(" .")), (
                f"{utterance.heard!r}: told {times[utterance.id]}"
            )
            event = next((e for e in troupe.told if e.id == utterance.id), None)
            if event is not None and heard:
                assert any(_same(event.text, each) for each in heard), f"told {event.text!r}, heard {heard}"
        for id, asked in troupe.asked.items():
            if id not in troupe.refused and id not in times:
                assert self._stage.restarts, f"{asked.text!r} was let in, and not told"

    def heard_words(self, who: str | None) -> Counter[str]:
        """Words of results that came to somebody by voice or in writing, whoever else had them."""
        words: Counter[str] = Counter()
        for name, line in self.lines:
            if who in (None, name):
                words.update(FOUND.findall(line.heard))
        events: dict[str, RoomEvent] = {}
        for reader in self._stage.readers.values():
            events |= {event.id: event for event in reader.got if event.category != "transport"}
        for *_, task in self._stage.answers:
            result: Any = task.result()
            if not isinstance(result, Exception) and result.reply:
                events[result.reply.id] = result.reply
        voiced = {said.utterance.id for said in self._troupe.said}
        for event in events.values():
            if event.id not in voiced and not event.id.startswith("child"):
                words.update(FOUND.findall(event.text))
        return words

    def _results(self) -> None:
        known = {entry.delivery.task: entry for entry in self._stage.entries if entry.delivery.task}
        for entry in known.values():
            self._judge_result(entry)
        cancelled = "cancel" in self._troupe.moods_used
        lost = [id for id in self._troupe.delegated if id not in known and not cancelled]
        assert not lost or self._stage.restarts, f"no result of {lost}"
        if not self._troupe.moods_used & {"recall", "fail late"}:
            self._judge_repetition()
        voiced = {said.utterance.id for said in self._troupe.said}
        for reader in self._stage.readers.values():
            for event in reader.got:
                if "deliveries" in event.metadata and event.id not in voiced:
                    to = {self._troupe.found.get(int(word[1:].partition("x")[0])) for word in FOUND.findall(event.text)}
                    ways = {who: {c for _, w, c, _ in self._stage.answers if w == who} for who in to}
                    assert all(reader.id in ways[who] for who in to), (
                        f"{event.text!r} is for {to}, and {reader.id} has it"
                    )

    def _judge_repetition(self) -> None:
        """Nobody hears or reads a result twice, unless the answer that told it came to no end."""
        for channel in self._stage.channels:
            for who, caller in channel.people.items():
                gone = [at for at, left in channel.left if left == who]
                whole = [
                    line
                    for line in caller.lines
                    if line.utterance.reply_to is None
                    or (line.utterance.complete and not any(line.started <= at <= (line.ended or at) for at in gone))
                ]
                words = Counter(word for line in whole for word in FOUND.findall(line.heard))
                # What was said for another one, who was away, is said again.
                twice = [word for word, times in words.items() if times > 1 and self._asker(word) == who]
                assert not twice, f"{who} heard {twice} twice"
        if self._stage.restarts or self._stage.channels:
            return  # what was on its way to readers may have come to them; what is said again they read again
        for reader in self._stage.readers.values():
            events = [e for e in reader.got if e.metadata.get("complete", True)]
            words = Counter(word for event in events for word in FOUND.findall(event.text))
            twice = [word for word, times in words.items() if times > 1]
            assert not twice, f"{reader.id} has {twice} twice"

    def _asker(self, word: str) -> str | None:
        return self._troupe.found.get(int(word[1:].partition("x")[0]))

    def _judge_result(self, entry: Entry) -> None:
        delivery, words = entry.delivery, FOUND.findall(entry.delivery.content)
        numbers = {int(word[1:].partition("x")[0]) for word in words}
        askers = {self._troupe.found[n] for n in numbers if n in self._troupe.found}
        assert askers <= {delivery.to}, f"{delivery.content!r} was asked for by {askers}, and goes to {delivery.to}"
        assert entry.status.terminal, f"{delivery.content!r} of {delivery.to} is owed for ever: {entry.status}"
        ends = {"heard", "dead", *(["refused"] if "refuse" in self._troupe.play.hooks else [])}
        ends |= {"cancelled"} if "cancel" in self._troupe.moods_used else set()
        assert entry.status in ends, f"{delivery.content!r} of {delivery.to} ends as {entry.status} ({entry.reason})"
        heard = self.heard_words(delivery.to)
        if entry.status == "heard":
            missing = [word for word in words if not heard[word]]
            assert not missing, f"{missing} count as heard by {delivery.to}, and were not"

    @property
    def lines(self) -> list[tuple[str, Any]]:
        """(who heard it, what)."""
        return [
            (who, line) for channel in self._stage.channels for who, c in channel.people.items() for line in c.lines
        ]


def _same(one: str, other: str) -> bool:
    """But for dots, which nobody hears."""
    words = [[word for word in text.split() if any(map(str.isalnum, word))] for text in (one, other)]
    return words[0] == words[1]
