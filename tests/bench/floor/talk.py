"""Talk: what a caller and an agent would do in a call, drawn once from measured quantiles, before any policy is known.

Every draw belongs to a thing that exists under every policy (the caller's k-th turn, the n-th delivery, a second of
noise), so two policies meet the same caller with the same intentions; only what comes of them differs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

CALL = 300.0
"""Seconds a call lasts."""
RESULTS = 6
"""Deliveries in a call: one every fifty seconds on average."""
QUIET_END = 40.0
"""Seconds before the end in which no more arrive, so that "never" means more than "too late"."""


class Quantiles:
    """A distribution of seconds through measured p50, p90, p95 and p99: log-linear between them over the normal
    deviate, mirrored below the median, and cut at `least` and at three times p99."""

    def __init__(self, p50: float, p90: float, p95: float, p99: float, least: float) -> None:
        z = [NormalDist().inv_cdf(p) for p in (0.5, 0.9, 0.95, 0.99)]
        y = [math.log(v) for v in (p50, p90, p95, p99)]
        below = (y[1] - y[0]) / z[1]
        above = (y[3] - y[2]) / (z[3] - z[2])
        self._z = [-4.0, *z, 4.0]
        self._y = [y[0] - 4.0 * below, *y, y[3] + (4.0 - z[3]) * above]
        self._least, self._most = least, 3 * p99

    def at(self, uniforms: np.ndarray) -> list[float]:
        """The seconds at these probabilities (0 to 1)."""
        clipped = np.clip(uniforms, 1e-4, 1 - 1e-4)
        drawn = np.exp(np.interp(_normal(clipped), self._z, self._y))
        return [float(v) for v in np.clip(drawn, self._least, self._most).ravel()]


_TABLE_P = np.linspace(1e-4, 1 - 1e-4, 20001)
_TABLE_Z = np.array([NormalDist().inv_cdf(float(p)) for p in _TABLE_P])


def _normal(p: np.ndarray) -> np.ndarray:
    deviates: np.ndarray = np.interp(p, _TABLE_P, _TABLE_Z)
    return deviates


# 673 two-party telephone calls (125 h); the house's own anchors.
PAUSE = Quantiles(0.38, 1.13, 1.55, 2.94, 0.1)
GAP = Quantiles(0.25, 0.86, 1.15, 2.07, 0.03)
OVERLAP = Quantiles(0.35, 1.15, 1.61, 2.94, 0.05)
SEGMENT = Quantiles(1.52, 4.8, 6.3, 9.9, 0.25)

# What no corpus of people among themselves has: talk with an agent that works underneath.
REPLY_DELAY = Quantiles(0.55, 0.85, 1.0, 1.6, 0.25)
"""Model and synthesizer, after the end of turn was noticed: with that 0.9 to 1.2 s to first audio, between the
industry's bar (0.8 s p50, 1.2 s p95) and what was measured on telephones (1.09 to 1.85 s)."""
WORDING_DELAY = Quantiles(0.45, 0.75, 0.9, 1.5, 0.2)
"""A result put into the agent's words by its model."""
REPLY_WORDS = (12.0, 0.55)
"""Median, and sigma of the logarithm: five seconds of talk."""
RESULT_WORDS = (11.0, 0.5)
QUESTIONS = 0.25
"""Share of the agent's replies that ask something."""
RESPONDS = 0.5
"""After a statement the caller goes on at once with this probability; else there is a lapse until something occurs to
them (Sacks, Schegloff and Jefferson's term, 1974): they wait for the work that goes on underneath."""
LAPSE = Quantiles(7.0, 15.0, 19.0, 29.0, 1.2)
EARLY = 0.3
"""Share of the caller's responses that begin before the agent has ended (people: 52 %, backchannels included)."""
ACKNOWLEDGES = 0.2
"""Share of the responses to a statement that are a mere "okay", which wants no reply."""
PATIENCE = Quantiles(5.0, 8.0, 9.0, 12.0, 2.5)
"""How long a caller waits for a reply, or for the rest of a sentence, before they speak again."""
MORE = 0.5
"""After each segment of a turn: that a pause and one more follow."""
BARGES = 0.1
"""That the caller takes the floor while the agent speaks, once an utterance."""
BACKCHANNEL_EVERY = 8.0
"""Seconds of the agent's talk from one backchannel of the caller to the next."""
BACKCHANNEL = Quantiles(0.38, 0.58, 0.65, 0.85, 0.15)
"""How long an "mm-hm" lasts."""
REACTION = (0.18, 0.32)
"""Seconds within which speech that is already on its way cannot be held back."""
GIVES_WAY_IDLE = 0.9
"""That a caller who was about to speak lets the agent go first, when there is time to."""
GIVES_WAY_PAUSED = 0.6
"""The same in the middle of a turn of their own."""
GIVES_WAY_SPEAKING = 0.35
"""That a caller who is talked over stops."""


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """A caller's turn: speech and pauses in turn, seconds, beginning and ending with speech. `urgent`: it begins with
    a word that plainly takes the floor."""

    spans: tuple[float, ...]
    urgent: bool
    patience: float
    gives_way: tuple[float, ...]
    """Uniform draws, one a span: whether they let the agent go first there."""
    reaction: float


@dataclass(frozen=True, slots=True)
class Response:
    """What the caller does on one utterance of the agent: while it lasts and after it."""

    barge_at: float | None
    """Share of the utterance after which they take the floor."""
    backchannels: tuple[tuple[float, float, float], ...]
    """When (seconds of its audio), how long, and a uniform draw for what the recogniser makes of it."""
    early: float | None
    """Seconds before its end at which they respond."""
    gap: float
    responds: bool
    acknowledges: bool
    lapse: float
    patience: float


@dataclass(frozen=True, slots=True)
class ReplyPlan:
    """What the agent answers to a turn."""

    delay: float
    words: int
    question: bool


@dataclass(frozen=True, slots=True)
class Result:
    """A delivery: when it arrives from its worker, and how many words it has."""

    id: str
    arrives: float
    words: int
    wording: float
    """Seconds the agent's model takes to put it into its own words."""
    ttl: float | None = None
    topic: str | None = None


@dataclass(frozen=True, slots=True)
class Noise:
    """What the voice detector takes for a voice."""

    starts: float
    lasts: float
    word: bool = False
    """The recogniser hears a word in it."""


@dataclass(frozen=True, slots=True)
class Senses:
    """Draws for the eyes, one row a stretch of voice."""

    onset: float
    hangover: float
    dips: tuple[tuple[float, float], ...]
    """When (seconds into the stretch) and how long the detector loses the voice."""
    judgement: float
    """Uniform draw: what the endpointer makes of the silence after it."""
    thinking: float


@dataclass(frozen=True)
class Call:
    """All that is drawn for one call. Rows repeat if a policy makes a call longer than anybody thought."""

    turns: Sequence[TurnPlan]
    replies: Sequence[ReplyPlan]
    on_reply: Sequence[Response]
    on_result: Sequence[Response]
    results: Sequence[Result]
    noises: Sequence[Noise]
    senses: Sequence[Senses]
    length: float = CALL
    begins: float = 1.0
    noisy: float = 0.0


NOISE = ((0.6, 0.005), (0.25, 0.06), (0.1, 0.10), (0.05, 0.16))
"""Share of calls, and share of their silence that the detector calls speech: Silero in the clean and at 10, 5, 0 dB."""
BURST = Quantiles(0.09, 0.4, 0.6, 1.2, 0.02)
"""How long a false alarm lasts: mostly clicks and keys, now and then a door or a cough."""
STUCK = 0.15
"""Share of calls in which the detector sticks to a noise once, for 8 to 25 s."""
DIPS_EVERY = 6.0
"""Seconds of speech in which the detector loses the voice once (misses: F1 .96 in the clean)."""
DIP = Quantiles(0.09, 0.2, 0.26, 0.4, 0.03)


def draw(seed: int, number: int, results: int = RESULTS, length: float = CALL, responds: float = RESPONDS) -> Call:
    """Call `number` of the run `seed`; `responds`: how talkative the caller is, see `RESPONDS`."""
    rng = np.random.default_rng([seed, number])
    share = _pick(rng.random(), NOISE)
    return Call(
        turns=_turns(rng, 90),
        replies=_replies(rng, 60),
        on_reply=_reactions(rng, 60, responds),
        on_result=_reactions(rng, results * 4, responds),
        results=_results(rng, results, length),
        noises=_noises(rng, share, length),
        senses=_senses(rng, 250, share),
        length=length,
        begins=float(rng.uniform(0.5, 3.0)),
        noisy=share,
    )


def _pick(u: float, shares: Sequence[tuple[float, float]]) -> float:
    for share, value in shares:
        u -= share
        if u < 0:
            return value
    return shares[-1][1]


def _turns(rng: np.random.Generator, rows: int) -> list[TurnPlan]:
    more = rng.random((rows, 6)) < MORE
    spoken = np.array(SEGMENT.at(rng.random(rows * 7))).reshape(rows, 7)
    paused = np.array(PAUSE.at(rng.random(rows * 6))).reshape(rows, 6)
    patience, reaction = PATIENCE.at(rng.random(rows)), rng.uniform(*REACTION, rows)
    urgent, ways = rng.random(rows) < 0.4, rng.random((rows, 13))
    plans = []
    for row in range(rows):
        spans = [float(spoken[row, 0])]
        for n in range(6):
            if not more[row, n]:
                break
            spans += [float(paused[row, n]), float(spoken[row, n + 1])]
        way = tuple(float(w) for w in ways[row, : len(spans)])
        plans.append(TurnPlan(tuple(spans), bool(urgent[row]), patience[row], way, float(reaction[row])))
    return plans


def _words(rng: np.random.Generator, rows: int, median: float, sigma: float) -> list[int]:
    return [int(n) for n in np.clip(np.round(median * np.exp(rng.normal(0.0, sigma, rows))), 3, 60)]


def _replies(rng: np.random.Generator, rows: int) -> list[ReplyPlan]:
    delays, questions = REPLY_DELAY.at(rng.random(rows)), rng.random(rows) < QUESTIONS
    return [
        ReplyPlan(d, w, bool(q)) for d, w, q in zip(delays, _words(rng, rows, *REPLY_WORDS), questions, strict=True)
    ]


def _reactions(rng: np.random.Generator, rows: int, willing: float) -> list[Response]:
    barges, where = rng.random(rows) < BARGES, rng.uniform(0.15, 0.9, rows)
    early, by = rng.random(rows) < EARLY, OVERLAP.at(rng.random(rows))
    gaps, lapses = GAP.at(rng.random(rows)), LAPSE.at(rng.random(rows))
    patience = PATIENCE.at(rng.random(rows))
    responds, acknowledges = rng.random(rows) < willing, rng.random(rows) < ACKNOWLEDGES
    apart, heard = rng.random(4 * rows).tolist(), rng.random(4 * rows).tolist()
    murmurs = BACKCHANNEL.at(rng.random(4 * rows))
    made = []
    for row in range(rows):
        backchannels, at = [], 0.0
        for n in range(4 * row, 4 * row + 4):
            at += 0.6 - BACKCHANNEL_EVERY * math.log(1 - apart[n])
            backchannels.append((at, murmurs[n], heard[n]))
        made.append(
            Response(
                barge_at=float(where[row]) if barges[row] else None,
                backchannels=tuple(backchannels),
                early=by[row] if early[row] else None,
                gap=gaps[row],
                responds=bool(responds[row]),
                acknowledges=bool(acknowledges[row]),
                lapse=lapses[row],
                patience=patience[row],
            )
        )
    return made


def _results(rng: np.random.Generator, count: int, length: float) -> list[Result]:
    times = np.sort(rng.uniform(5.0, length - QUIET_END, count))
    words, wording = _words(rng, count, *RESULT_WORDS), WORDING_DELAY.at(rng.random(count))
    kind = rng.random(count)
    results: list[Result] = []
    for n in range(count):
        ttl = 45.0 if kind[n] < 0.05 else None
        topic = "news" if kind[n] > 0.85 else None  # the newest of a topic replaces older ones
        results.append(Result(f"d{n}", float(times[n]), words[n], wording[n], ttl, topic))
    return results


def _noises(rng: np.random.Generator, share: float, length: float) -> list[Noise]:
    lasting = BURST.at(rng.random(600))
    mean = sum(lasting) / len(lasting)
    noises, at = [], 0.0
    for lasts, u, word in zip(lasting, rng.random(600), rng.random(600), strict=True):
        at += -math.log(1 - float(u)) * mean * (1 - share) / share
        if at >= length:
            break
        noises.append(Noise(at, lasts, bool(word < 0.1 and lasts > 0.3)))
        at += lasts
    if rng.random() < STUCK:
        noises.append(Noise(float(rng.uniform(20, length - 60)), float(rng.uniform(8, 25))))
    return sorted(noises, key=lambda n: n.starts)


def _senses(rng: np.random.Generator, rows: int, share: float) -> list[Senses]:
    late, onset = rng.random(rows), rng.uniform(0.03, 0.09, rows)
    extra, hangover = rng.uniform(0.1, 0.3, rows), rng.uniform(0.04, 0.2, rows)
    judged, thinking = rng.random(rows), rng.uniform(0.25, 0.4, rows)
    apart = -np.log(1 - rng.random((rows, 3))) * DIPS_EVERY / (1 + 10 * share)
    dips = np.array(DIP.at(rng.random(rows * 3))).reshape(rows, 3)
    made = []
    for row in range(rows):
        at, lost = 0.0, []
        for wait, lasts in zip(apart[row], dips[row], strict=True):
            at += 0.2 + float(wait)
            lost.append((at, float(lasts)))
            at += float(lasts)
        begins = float(onset[row] + (extra[row] if late[row] < 0.04 else 0.0))
        made.append(Senses(begins, float(hangover[row]), tuple(lost), float(judged[row]), float(thinking[row])))
    return made
