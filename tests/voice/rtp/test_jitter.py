"""What came in time is taken once and in order, held back no longer than the way is unsteady; nothing makes it lag."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice.rtp.jitter import MOST, RATE_LIMIT, STEP, JitterBuffer, Placed, Slot

FRAME = 0.02


def sound(number: int, length: int = STEP) -> bytes:
    return bytes([number % 251 + 1]) * length


def played(
    arrivals: list[tuple[float, int]],
    seconds: float,
    buffer: JitterBuffer | None = None,
    sequence: int = 65_500,
    timestamp: int = 4_294_960_000,
) -> list[int | str]:
    """The frames (by number) that were taken at each tick; "-": lost, "": none. A packet is (when, number)."""
    buffer = buffer or JitterBuffer()
    waiting = sorted(arrivals)
    taken: list[int | str] = []
    for tick in range(round(seconds / FRAME)):
        now = 100.0 + tick * FRAME + 0.001
        while waiting and 100.0 + waiting[0][0] <= now:
            at, number = waiting.pop(0)
            payload = sound(number)
            buffer.put((sequence + number) % 65536, (timestamp + number * STEP) % 2**32, payload, 100.0 + at)
        slot = buffer.take(now)
        taken.append(slot.payload[0] - 1 if slot.payload else "-" if slot.lost else "")
    return taken


def numbers(taken: list[int | str]) -> list[int]:
    return [each for each in taken if isinstance(each, int)]


def test_a_steady_stream_comes_out_whole_and_20_ms_later_over_the_end_of_the_numbers() -> None:
    taken = played([(n * FRAME, n) for n in range(100)], 2.0)
    assert taken == ["", *range(99)]


def test_order_is_restored_and_what_comes_twice_is_taken_once() -> None:
    arrivals = [(n * FRAME, n) for n in range(100)]
    buffer = JitterBuffer()
    swapped = [(at + (0.035 if n % 10 == 3 else 0), n) for at, n in arrivals] + [
        (at + 0.003, n) for at, n in arrivals if n % 10 != 3
    ]
    got = numbers(played(swapped, 2.2, buffer))
    assert got[15:] == list(range(got[15], 100))
    assert got == sorted(set(got))
    assert buffer.depth == pytest.approx(0.04)


def test_a_lost_packet_is_told_once_and_holds_up_nothing() -> None:
    buffer = JitterBuffer()
    taken = played([(n * FRAME, n) for n in range(100) if n not in (20, 50, 51)], 2.0, buffer)
    assert taken == ["", *(n if n not in (20, 50, 51) else "-" for n in range(99))]
    assert buffer.lost == 3


def test_who_sends_nothing_in_silence_has_lost_nothing() -> None:
    buffer = JitterBuffer()
    first = [(n * FRAME, n) for n in range(10)]
    taken = played(first, 0.4, buffer)
    assert taken == ["", *range(10), *"-----", *[""] * 4]
    # The numbers go on by one, the timestamps over the whole pause.
    steady = JitterBuffer()
    for n in range(50):
        late = 0 if n < 10 else 8
        steady.put(n, (n + late) * STEP, sound(n), n * FRAME + (0 if n < 10 else late * FRAME - 0.1))
    assert [steady.take(0.2 + n * FRAME).lost for n in range(20)].count(True) == 0


def test_packets_that_are_no_sound_are_not_missing() -> None:
    buffer = JitterBuffer()
    assert buffer.skip(9, 0.0) is Placed.PLACED
    taken = []
    for n in range(30):
        if 10 <= n < 20:
            assert buffer.skip(n, n * FRAME) is Placed.PLACED
            assert buffer.skip(n, n * FRAME) is Placed.DUPLICATE
        else:
            buffer.put(n, n * STEP, sound(n), n * FRAME)
        taken.append(buffer.take(n * FRAME + 0.001))
    assert [n for n, slot in enumerate(taken) if slot.lost] == []
    assert [n for n, slot in enumerate(taken) if slot.payload] == [*range(1, 11), *range(21, 30)]
    assert buffer.skip(9000, 0.6) is Placed.LATE
    assert [buffer.skip(30, 0.6) for _ in range(300)][-1] is Placed.FLOOD


@pytest.mark.parametrize("length", [80, 240, 320, 480])
def test_packets_of_any_length_come_out_in_20_ms(length: int) -> None:
    buffer = JitterBuffer()
    whole = bytes(Random(1).randbytes(480 * 150))
    taken = b""
    at = 0
    for tick in range(60):
        now = tick * FRAME
        while at * length / 8000 <= now:
            buffer.put(at, at * length, whole[at * length : (at + 1) * length], now)
            at += 1
        slot = buffer.take(now)
        assert slot.payload is None or len(slot.payload) == STEP
        taken += slot.payload or b""
    assert len(taken) > 50 * STEP
    assert whole.startswith(taken)


def test_an_unsteady_way_is_held_back_for_and_a_steady_one_no_longer() -> None:
    random = Random(3)
    buffer = JitterBuffer()
    rough = [(n * FRAME + random.uniform(0, 0.09), n) for n in range(250)]
    taken = played(rough, 5.0, buffer)
    assert buffer.depth == pytest.approx(0.1)
    assert taken[100:].count("-") <= 10
    assert len(numbers(taken)[50:]) == len(set(numbers(taken)[50:]))
    for n in range(250, 1500):
        buffer.put((65_500 + n) % 65536, (4_294_960_000 + n * STEP) % 2**32, sound(n), 100 + n * FRAME)
        buffer.take(100.001 + n * FRAME)
    assert buffer.depth == pytest.approx(0.02)
    last = buffer.take(100.001 + 1500 * FRAME).payload
    assert last in (sound(1499), sound(1498))


def test_one_stall_of_the_network_leaves_no_lag() -> None:
    stalled = [(4.4 if 210 <= n < 220 else n * FRAME, n) for n in range(250)]
    taken = played(stalled, 5.0)
    assert taken == ["", *range(210), *"-----", *[""] * 4, *range(219, 249)]


def test_a_way_that_became_longer_is_followed() -> None:
    taken = played([(n * FRAME + (0.15 if n >= 100 else 0), n) for n in range(400)], 8.0)
    assert taken[150:360] == [n % 251 for n in range(150 - 8, 360 - 8)]
    assert taken[360:].count("-") <= 1
    assert taken[-1] in ((399 - 8) % 251, (399 - 9) % 251)


@pytest.mark.parametrize("drift", [-300e-6, 300e-6])
def test_a_clock_that_runs_wrong_is_followed(drift: float) -> None:
    taken = played([(n * FRAME * (1 + drift), n) for n in range(3000)], 60.0)
    assert 2994 % 251 <= numbers(taken)[-1] <= 2999 % 251
    assert taken.count("-") + taken.count("") <= 5


def test_it_is_lengthened_in_silence_where_there_is_any() -> None:
    buffer = JitterBuffer(quiet=lambda payload: payload[0] in (141, 241))
    late = [(n * FRAME + (0.03 if 100 <= n < 113 else 0), n) for n in range(240)]
    taken = played(late, 4.8, buffer)
    assert buffer.depth == pytest.approx(0.04)
    assert taken[100:115] == [99, *"-" * 13, 113]
    assert taken[120:] == [*range(119, 141), *range(140, 238)]


def test_another_stream_is_followed_when_two_of_its_packets_came_and_a_stray_one_does_no_harm() -> None:
    buffer = JitterBuffer()
    for n in range(50):
        assert buffer.put(n, n * STEP, sound(n), n * FRAME) is Placed.PLACED
        buffer.take(n * FRAME)
    assert buffer.put(9000, 77, sound(5), 1.0) is Placed.LATE
    assert buffer.put(50, 50 * STEP, sound(50), 1.0) is Placed.PLACED
    assert buffer.take(1.0) == Slot(sound(49))
    assert [buffer.put(9001 + n, 1_000_000 + n * STEP, sound(n), 1.02 + n * FRAME) for n in range(3)] == [
        Placed.LATE,
        Placed.RESTARTED,
        Placed.PLACED,
    ]
    assert buffer.take(1.06) == Slot(sound(1))
    # As a PBX comes back from hold: its numbers go on, its clock stood still.
    assert [buffer.put(9004 + n, 1_000_480 + n * STEP, sound(n), 9 + n * FRAME) for n in range(2)] == [
        Placed.LATE,
        Placed.RESTARTED,
    ]
    buffer.restart()
    assert buffer.put(1, 1, sound(1), 9.1) is Placed.PLACED


def test_a_flood_is_dropped_and_duplicates_and_latecomers_are_named() -> None:
    buffer = JitterBuffer()
    placed = [buffer.put(n, n * 10, b"x" * 10, 5.0) for n in range(400)]
    assert placed.count(Placed.FLOOD) == 400 - RATE_LIMIT
    assert buffer.put(399, 3990, b"x" * 10, 6.0) is not Placed.FLOOD
    other = JitterBuffer()
    for n in range(20):
        other.put(n + 2, n * STEP, sound(n), n * FRAME)
        other.take(n * FRAME)
    assert other.put(21, 19 * STEP, sound(19), 0.4) is Placed.DUPLICATE
    assert other.put(1, -STEP % 2**32, sound(0), 0.4) is Placed.LATE
    assert other.late == 1


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.3))
def test_whatever_the_way_does_frames_come_in_order_once_and_not_too_late(
    seed: int, loss: float, spread: float, twice: float
) -> None:
    random = Random(seed)
    arrivals = []
    for n in range(240):
        copies = 0 if random.random() < loss else 2 if random.random() < twice else 1
        arrivals += [(n * FRAME + random.uniform(0, spread), n) for _ in range(copies)]
    buffer = JitterBuffer()
    taken = played(arrivals, 4.8, buffer)
    got = numbers(taken)
    assert got == sorted(set(got))
    # At most what may be held back, half of what one may be off it, and the spread that hid the quickest way.
    for tick, each in enumerate(taken):
        if isinstance(each, int):
            assert tick - each <= (spread + 2 * MOST / 8000) / FRAME + 2
    assert 0.02 <= buffer.depth <= 0.2


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(0, 9000), st.floats(0, 3), st.booleans()
        )
        | st.tuples(st.integers(0, 20), st.integers(0, 4000), st.integers(0, 400), st.floats(0, 0.05), st.booleans()),
        max_size=80,
    )
)
def test_whatever_comes_nothing_raises_and_what_is_held_is_bounded(
    packets: list[tuple[int, int, int, float, bool]],
) -> None:
    buffer = JitterBuffer()
    now = 0.0
    for sequence, timestamp, length, later, take in packets:
        now += later
        assert isinstance(buffer.put(sequence, timestamp, bytes(length), now), Placed)
        if take:
            slot = buffer.take(now)
            assert slot.payload is None or len(slot.payload) == STEP
    assert sum(buffer.take(now + n * FRAME).payload is not None for n in range(200)) <= 2 * 8000 / STEP + 1
