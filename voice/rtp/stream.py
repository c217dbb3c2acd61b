"""One call's sound, Sans-I/O: packets and ticks in; packets, sound to decode, and facts for the call out.

It decodes and encodes nothing itself: the tick does that for all calls together. `receive` never raises, whatever
comes. One `take` and one `pull` every 20 ms; `now` is in loop seconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from voice.leg import FRAME_SAMPLES, Pressed
from voice.rtp import g711
from voice.rtp.comfort import PAYLOAD_TYPE, noise_level
from voice.rtp.dtmf import Keys, KeySender, Press, Way
from voice.rtp.jitter import CLOCK, STEP, JitterBuffer, Placed, Quiet
from voice.rtp.packet import SEQUENCES, Rtp, is_rtcp, parse
from voice.rtp.source import Address, Latch
from voice.sip.negotiation import Agreed
from voice.sip.sdp import PCMA, PCMU, Codec

MAX_QUEUE = 500
"""Frames of the agent's voice that may wait: 10 s. More are dropped, and never said to be sent."""
STREAMS = 16
"""Streams of the agent's voice of which it is known how much was sent; a `Clear` may come after the end was."""
MAX_REPORTS = 8
"""Reports of the other end that are kept for whoever reads them."""
KEY_HOLDS = 0.1
"""Seconds after a packet of a key in which missing sound is not made up for: the key was sent instead of it."""
_QUIET: dict[Codec, Quiet] = {PCMU: g711.MU_LAW.quiet, PCMA: g711.A_LAW.quiet}


@dataclass(frozen=True, slots=True)
class Play:
    """20 ms of the agent's voice (16 kHz): samples from `position` on of audio stream `stream`."""

    stream: int
    position: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class End:
    """Nothing follows in `stream` after `samples` samples."""

    stream: int
    samples: int


@dataclass(frozen=True, slots=True)
class Clear:
    """Drop what was not sent of `stream`."""

    stream: int


@dataclass(frozen=True, slots=True)
class Change:
    """Something else was agreed (re-INVITE): hold, another address or codec."""

    agreed: Agreed


Command = Play | End | Clear | Change | Press


@dataclass(frozen=True, slots=True)
class Sent:
    """Samples of `stream` up to `samples` are on the wire, from the tick at `at` on."""

    stream: int
    samples: int
    at: float


@dataclass(frozen=True, slots=True)
class Cleared:
    """`stream` was cut off after `samples` samples were sent."""

    stream: int
    samples: int


Fact = Sent | Cleared


@dataclass(frozen=True, slots=True)
class Heard:
    """What a tick brings of the caller.

    `payload`: 20 ms as `codec` wrote them; None: `conceal` what was lost, or play `noise` (-dBov), or silence.
    """

    payload: bytes | None
    conceal: bool
    noise: int | None
    keys: tuple[Pressed, ...]
    codec: Codec


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What leaves at a tick: a packet as it is (`ready`), or voice or silence to be encoded and given to `packet`."""

    pcm: bytes | None = None
    silence: bool = False
    ready: bytes | None = None
    facts: tuple[Fact, ...] = ()


class Stream:
    """The sound of one call.

    `ours`: the address we listen on. `sequence` and `timestamp` are the first ones we send, and are to be random, as
    `ssrc` is (RFC 3550 section 5.1). `authenticated`: packets are SRTP, and were checked before `receive`.
    """

    def __init__(
        self,
        agreed: Agreed,
        ssrc: int,
        now: float,
        *,
        ours: str = "0.0.0.0",  # noqa: S104 - compared, not listened on
        sequence: int = 0,
        timestamp: int = 0,
        authenticated: bool = False,
    ) -> None:
        self.agreed, self.ssrc = agreed, ssrc
        self.latch = Latch((agreed.host, agreed.port), ours, now, authenticated=authenticated)
        self.last_heard: float | None = None
        """When the last packet came that was believed: whoever ends dead calls looks here."""
        self.reports: deque[bytes] = deque(maxlen=MAX_REPORTS)
        """RTCP that came to the same port, unread."""
        self.sent_packets, self.sent_octets = 0, 0
        """For our reports (RFC 3550 section 6.4.1)."""
        self.timestamp = timestamp
        """Of what leaves at this tick; goes on through silence and hold."""
        self._sequence = sequence
        self._queue: deque[Play | End] = deque()
        self._sent: dict[int, int] = {}
        self._talking, self._marker = False, False
        self._keys, self._pressed = Keys(), list[Pressed]()
        self._theirs: int | None = None
        self._other: tuple[int, int] | None = None
        self._noise: int | None = None
        self._sound_again = False
        self._key_at = -KEY_HOLDS
        self._begin()

    def _begin(self) -> None:
        codec = self.agreed.format.codec
        self.buffer = JitterBuffer(_QUIET[codec]) if codec in _QUIET else JitterBuffer()
        self._step = STEP * codec.rate // CLOCK
        self._sender = KeySender(codec.rate)

    @property
    def address(self) -> Address:
        """Where packets are to be sent."""
        return self.latch.address

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """A datagram has come."""
        if is_rtcp(data):
            self.reports.append(data)
            return
        packet = parse(data)
        if packet is None or not self.latch.accept(packet, source, now) or not self._same_stream(packet):
            return
        self.last_heard = now
        if packet.kind == self.agreed.format.payload:
            self._sound_again = True
            self.buffer.put(packet.sequence, packet.timestamp, packet.payload, now)
        elif packet.kind in (self.agreed.keys, PAYLOAD_TYPE):
            self._no_sound(packet, now)

    def press(self, digit: str, way: Way, now: float) -> None:
        """The caller pressed a key that did not come in RTP (by INFO, or found in the sound)."""
        if self._keys.pressed(digit, way, now):
            self._pressed.append(Pressed(digit))

    def take(self, now: float) -> Heard:
        """What the caller said in the 20 ms whose time has come. Nothing of who holds us: that is its music."""
        slot = self.buffer.take(now)
        keys, self._pressed = tuple(self._pressed), []
        codec = self.agreed.format.codec
        if not self.agreed.hears or not self.agreed.direction.receives:
            return Heard(None, False, None, keys, codec)
        if slot.payload is not None and self._sound_again:
            self._noise = None
        conceal = slot.lost and self._noise is None and now - self._key_at >= KEY_HOLDS
        return Heard(slot.payload, conceal, None if slot.payload is not None else self._noise, keys, codec)

    def command(self, command: Command) -> list[Fact]:
        """What the call wants. Raises ValueError for a key that is none."""
        match command:
            case Play():
                if len(self._queue) < MAX_QUEUE:
                    self._queue.append(command)
            case End():
                self._queue.append(command)
            case Clear(stream):
                self._queue = deque(each for each in self._queue if each.stream != stream)
                return [Cleared(stream, self._sent.get(stream, 0))]
            case Change(agreed):
                self._change(agreed)
            case Press(digit, seconds):
                self._sender.press(digit, seconds)
        return []

    def pull(self, now: float) -> Outgoing:
        """What leaves at this tick. Held, nothing does, and voice waits; so it does while a key sounds."""
        self.timestamp += self._step
        if not self.agreed.hears:
            self._talking = False
            return Outgoing()
        if self.agreed.keys is not None and (event := self._sender.pull(self.timestamp)):
            self._talking = False
            return Outgoing(ready=self._written(self.agreed.keys, event.timestamp, event.payload, event.marker))
        facts: list[Fact] = []
        frame = self._queue.popleft() if self._queue else None
        pcm = None
        if isinstance(frame, Play):
            pcm = frame.pcm
            facts.append(self._sent_up_to(frame.stream, frame.position + FRAME_SAMPLES, now))
            frame = self._queue.popleft() if self._queue and isinstance(self._queue[0], End) else None
        if isinstance(frame, End):
            facts.append(self._sent_up_to(frame.stream, frame.samples, now))
        self._marker, self._talking = pcm is not None and not self._talking, pcm is not None
        return Outgoing(pcm, silence=pcm is None, facts=tuple(facts))

    def packet(self, payload: bytes) -> bytes:
        """The packet of this tick's voice or silence, encoded."""
        return self._written(self.agreed.format.payload, self.timestamp, payload, self._marker)

    def _sent_up_to(self, stream: int, samples: int, now: float) -> Sent:
        self._sent[stream] = samples
        if len(self._sent) > STREAMS:
            del self._sent[next(iter(self._sent))]
        return Sent(stream, samples, now)

    def _written(self, kind: int, timestamp: int, payload: bytes, marker: bool) -> bytes:
        data = bytes(Rtp(kind, self._sequence, timestamp, self.ssrc, payload, marker))
        self._sequence = (self._sequence + 1) % SEQUENCES
        self.sent_packets += 1
        self.sent_octets += len(payload)
        return data

    def _same_stream(self, packet: Rtp) -> bool:
        """Whether the packet is of the stream we hear; another is followed when two of its packets came in order."""
        if packet.ssrc == self._theirs:
            return True
        if self._theirs is not None and self._other != (packet.ssrc, packet.sequence):
            self._other = (packet.ssrc, (packet.sequence + 1) % SEQUENCES)
            return False
        if self._theirs is not None:
            self.buffer.restart()
            self._keys.restart()
        self._theirs, self._other = packet.ssrc, None
        return True

    def _no_sound(self, packet: Rtp, now: float) -> None:
        """A key, or comfort noise."""
        if self.buffer.skip(packet.sequence, now) is Placed.FLOOD:
            return
        if packet.kind == self.agreed.keys:
            self._key_at = now
            if digit := self._keys.event(packet.payload, packet.timestamp, now):
                self._pressed.append(Pressed(digit))
        elif (level := noise_level(packet.payload)) is not None:
            self._noise, self._sound_again = level, False

    def _change(self, agreed: Agreed) -> None:
        before, self.agreed = self.agreed, agreed
        self.latch.agreed((agreed.host, agreed.port), now=self.last_heard or 0.0)
        if agreed.format.codec != before.format.codec:
            self._begin()
