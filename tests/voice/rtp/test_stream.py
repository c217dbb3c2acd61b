"""What one stream sends another hears, whole; receipts are for what was sent; hold, keys, strangers."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from tests.voice.rtp.mutations import mutated
from voice.leg import FRAME_BYTES, FRAME_SAMPLES, Pressed
from voice.rtp.dtmf import Press, Way
from voice.rtp.packet import Rtp, parse
from voice.rtp.stream import MAX_QUEUE, Change, Clear, Cleared, End, Heard, Play, Sent, Stream
from voice.sip.negotiation import Agreed
from voice.sip.sdp import PCMU, Direction, Format

FRAME = 0.02
THEM = ("192.0.2.7", 4000)
AGREED = Agreed(*THEM, Format(0, PCMU), keys=101, direction=Direction.BOTH)
HELD = replace(AGREED, direction=Direction.RECEIVE)


def stream(agreed: Agreed = AGREED, ssrc: int = 7) -> Stream:
    return Stream(agreed, ssrc, 0.0, ours="192.0.2.1", sequence=65_530, timestamp=4_294_967_000)


def voice(number: int) -> Play:
    return Play(1, number * FRAME_SAMPLES, bytes([number]) * FRAME_BYTES)


def left(one: Stream, now: float) -> tuple[Rtp | None, tuple[object, ...]]:
    """What a tick sends (a frame is "encoded" as its first byte; silence is 255) and the facts of it."""
    out = one.pull(now)
    data = out.ready
    if out.pcm is not None:
        data = one.packet(out.pcm[:1] * 160)
    elif out.silence:
        data = one.packet(b"\xff" * 160)
    return (parse(data) if data else None), out.facts


def test_what_one_sends_the_other_hears_and_keys_come_once() -> None:
    sender, hearer = stream(), stream(ssrc=8)
    for n in range(10):
        sender.command(voice(n))
    heard: list[Heard] = []
    for tick in range(60):
        if tick == 20:
            sender.command(Press("5", 0.1))
            sender.command(Press("#", 0.06))
        packet, _ = left(sender, tick * FRAME)
        assert packet is not None
        hearer.receive(bytes(packet), THEM, tick * FRAME)
        heard.append(hearer.take(tick * FRAME + 0.001))
    assert [each.payload[0] for each in heard if each.payload][:12] == [*range(10), 255, 255]
    assert not any(each.conceal for each in heard)
    assert [key for each in heard for key in each.keys] == [Pressed("5"), Pressed("#")]
    assert hearer.buffer.lost == 0


def test_sent_is_told_for_each_frame_as_it_leaves_and_for_the_end() -> None:
    one = stream()
    for n in range(2):
        one.command(voice(n))
    one.command(End(1, 600))
    assert left(one, 1.0)[1] == (Sent(1, 320, 1.0),)
    assert left(one, 1.02)[1] == (Sent(1, 640, 1.02), Sent(1, 600, 1.02))
    assert left(one, 1.04)[1] == ()
    one.command(End(2, 0))
    assert left(one, 1.06)[1] == (Sent(2, 0, 1.06),)


def test_clear_silences_the_next_tick_and_says_how_far_it_came() -> None:
    one = stream()
    for n in range(5):
        one.command(voice(n))
    one.command(Play(2, 0, bytes([9]) * FRAME_BYTES))
    left(one, 0.0)
    left(one, 0.02)
    assert one.command(Clear(1)) == [Cleared(1, 640)]
    packet, facts = left(one, 0.04)
    assert packet is not None
    assert packet.payload[0] == 9
    assert facts == (Sent(2, 320, 0.04),)
    assert one.command(Clear(3)) == [Cleared(3, 0)]
    # What was sent to its end and is still on its way was sent all the same.
    one.command(End(2, 300))
    left(one, 0.06)
    assert one.command(Clear(2)) == [Cleared(2, 300)]


def test_numbers_go_on_and_a_talk_begins_with_a_mark() -> None:
    one = stream()
    packets = []
    for tick in range(12):
        if tick in (3, 4, 8):
            one.command(voice(tick))
        packet, _ = left(one, tick * FRAME)
        assert packet is not None
        packets.append(packet)
    assert [each.marker for each in packets] == [tick in (3, 8) for tick in range(12)]
    assert [each.sequence for each in packets] == [(65_530 + n) % 65536 for n in range(12)]
    assert [each.timestamp for each in packets] == [(4_294_967_160 + 160 * n) % 2**32 for n in range(12)]
    assert (one.sent_packets, one.sent_octets) == (12, 12 * 160)


def test_held_nothing_leaves_nothing_is_heard_and_the_clock_goes_on() -> None:
    one = stream()
    first, _ = left(one, 0.0)
    one.command(Change(HELD))
    one.command(voice(1))
    for tick in range(1, 10):
        assert left(one, tick * FRAME) == (None, ())
        one.receive(bytes(Rtp(0, tick, tick * 160, 5, bytes(160))), THEM, tick * FRAME)
        assert one.take(tick * FRAME).payload is None
    one.command(Change(AGREED))
    again, facts = left(one, 0.2)
    assert first is not None
    assert again is not None
    assert (again.sequence, again.timestamp - first.timestamp) == (
        65_531,
        1600 - 2**32 * (again.timestamp < first.timestamp),
    )
    assert facts == (Sent(1, 640, 0.2),)
    assert again.marker


def test_the_queue_ends() -> None:
    one = stream()
    for n in range(MAX_QUEUE + 50):
        one.command(Play(1, n * FRAME_SAMPLES, bytes(FRAME_BYTES)))
    facts = [fact for tick in range(MAX_QUEUE + 50) for fact in left(one, tick * FRAME)[1]]
    assert len(facts) == MAX_QUEUE


def test_comfort_noise_is_played_until_sound_is_back() -> None:
    one = stream()
    heard = []
    for tick in range(30):
        now = tick * FRAME
        if tick == 10:
            one.receive(bytes(Rtp(13, tick, tick * 160, 5, bytes([50]))), THEM, now)
        elif tick < 10 or tick >= 20:
            number = tick if tick < 10 else tick - 9
            one.receive(bytes(Rtp(0, number, tick * 160, 5, bytes(160))), THEM, now)
        heard.append(one.take(now + 0.001))
    assert not any(each.conceal for each in heard)
    assert [tick for tick, each in enumerate(heard) if each.noise == 50] == list(range(11, 21))


def test_another_source_is_followed_when_two_of_its_packets_came() -> None:
    one = stream()
    one.receive(bytes(Rtp(0, 1, 160, 5, b"\x01" * 160)), THEM, 0.0)
    for n in range(3):
        one.receive(bytes(Rtp(0, 500 + n, 90_000 + n * 160, 6, bytes([2 + n]) * 160)), THEM, 0.02 + n * FRAME)
    taken = [one.take(0.06 + n * FRAME).payload for n in range(4)]
    assert [each[0] for each in taken if each] == [3, 4]


def test_a_key_by_info_and_by_event_is_one() -> None:
    one = stream()
    one.press("4", Way.INFO, 0.0)
    one.receive(bytes(Rtp(101, 1, 160, 5, bytes([4, 10, 0, 160]))), THEM, 0.05)
    assert one.take(0.06).keys == (Pressed("4"),)
    with pytest.raises(ValueError, match="digit"):
        one.command(Press("x", 0.1))


def test_strangers_and_mutated_packets_do_no_harm() -> None:
    one, random = stream(), Random(9)
    for n in range(1500):
        good = bytes(Rtp(random.choice((0, 0, 13, 101)), n, n * 160, 5, random.randbytes(160)))
        one.receive(mutated(good, random), THEM if random.random() < 0.7 else ("192.0.2.99", 1), n * FRAME)
        heard = one.take(n * FRAME)
        assert heard.payload is None or len(heard.payload) == 160
    assert one.address == THEM
    one.receive(bytes.fromhex("80c8 0006") + bytes(24), THEM, 99.0)
    assert list(one.reports)[-1][:2] == b"\x80\xc8"
