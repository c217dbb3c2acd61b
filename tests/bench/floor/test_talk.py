"""What is drawn for a call keeps to the measured quantiles, and to nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.floor.talk import CALL, GAP, OVERLAP, PAUSE, RESULTS, SEGMENT, Quantiles, draw


@pytest.mark.parametrize(
    ("drawn", "anchors"),
    [
        (PAUSE, (0.38, 1.13, 1.55, 2.94)),
        (GAP, (0.25, 0.86, 1.15, 2.07)),
        (OVERLAP, (0.35, 1.15, 1.61, 2.94)),
        (SEGMENT, (1.52, 4.8, 6.3, 9.9)),
    ],
)
def test_quantiles_go_through_their_anchors(drawn: Quantiles, anchors: tuple[float, ...]) -> None:
    assert drawn.at(np.array([0.5, 0.9, 0.95, 0.99])) == pytest.approx(anchors, rel=0.005)
    many = sorted(drawn.at(np.random.default_rng(1).random(40_000)))
    found = [many[int(len(many) * q)] for q in (0.5, 0.9, 0.95, 0.99)]
    assert found == pytest.approx(anchors, rel=0.05)
    assert drawn.at(np.array([0.0, 1.0]))[1] <= 3 * anchors[3]


def test_what_callers_say_in_calls_has_the_anchors_too() -> None:
    turns = [turn for n in range(40) for turn in draw(7, n).turns]
    spoken = sorted(span for turn in turns for span in turn.spans[::2])
    paused = sorted(span for turn in turns for span in turn.spans[1::2])
    for spans, p50, p90 in ((spoken, 1.52, 4.8), (paused, 0.38, 1.13)):
        assert spans[len(spans) // 2] == pytest.approx(p50, rel=0.08)
        assert spans[len(spans) * 9 // 10] == pytest.approx(p90, rel=0.08)


def test_a_call_is_its_seed_and_number() -> None:
    assert draw(1, 2) == draw(1, 2)
    assert draw(1, 2) != draw(1, 3)
    assert draw(2, 2) != draw(1, 2)


def test_results_come_in_order_and_in_time() -> None:
    call = draw(1, 1)
    arrives = [result.arrives for result in call.results]
    assert len(arrives) == RESULTS
    assert arrives == sorted(arrives)
    assert arrives[0] > 0
    assert arrives[-1] < CALL - 30


def test_more_noise_is_heard_in_a_noisier_call() -> None:
    shares: dict[float, list[float]] = {}
    for number in range(200):
        call = draw(3, number)
        heard = sum(noise.lasts for noise in call.noises if noise.lasts < 8.0)
        shares.setdefault(call.noisy, []).append(heard / CALL)
    for share, found in shares.items():
        assert sum(found) / len(found) == pytest.approx(share, rel=0.35)
