"""The frontier as a picture: an SVG of its own, with nothing but text and shapes in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

Point = tuple[str, str, float, float]
"""Name, group, median wait in seconds, collisions as a share."""

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 460, 60, 170, 40, 50
_COLOURS = {"ours": "#0a7d5a", "buffer": "#0a58a6", "timer": "#b5651d", "rival": "#7a5195"}
_LABEL = 110
"""How wide a name is, about."""
_TICKS = (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)


def picture(points: Sequence[Point], title: str) -> str:
    """Waits on a logarithmic axis; points of ours and of the timers are joined in order."""
    shown = [p for p in points if math.isfinite(p[2]) and math.isfinite(p[3])]
    waits = [max(p[2], 0.15) for p in shown] or [1.0]
    low, high = math.log(min(waits) / 1.3), math.log(max(waits) * 1.3)
    most = max([p[3] for p in shown] or [0.1]) * 1.1 or 0.1

    def x(wait: float) -> float:
        return _LEFT + (math.log(max(wait, 0.15)) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(share: float) -> float:
        return _HEIGHT - _BOTTOM - share / most * (_HEIGHT - _TOP - _BOTTOM)

    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif">',
        '<g font-size="12"><rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="22" font-size="15">{escape(title)}</text>',
        f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="#444"/>',
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 12}" text-anchor="middle">median wait, seconds</text>',
        f'<text transform="translate(16 {(_TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">collisions, %</text>',
    ]
    ticks = [t for t in _TICKS if low <= math.log(t) <= high]
    parts += [f'<text x="{x(t):.1f}" y="{bottom + 18}" text-anchor="middle">{t:g}</text>' for t in ticks]
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 1.0) if most / s <= 8)
    for n in range(int(most / step) + 1):
        height = y(n * step)
        parts.append(f'<path d="M{_LEFT} {height:.1f}H{right}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{100 * n * step:g}</text>')
    for group in ("ours", "buffer", "timer"):
        line = [f"{x(w):.1f} {y(c):.1f}" for _, g, w, c in shown if g == group]
        if len(line) > 1:
            parts.append(f'<path d="M{"L".join(line)}" fill="none" stroke="{_COLOURS[group]}" stroke-width="1.5"/>')
    labels: list[tuple[float, float]] = []
    for name, group, wait, share in sorted(shown, key=lambda p: -p[3]):
        colour, across, down = _COLOURS.get(group, "#444"), x(wait) + 7, y(share) + 4
        while any(abs(across - a) < _LABEL and abs(down - d) < 12 for a, d in labels):
            down -= 12
        labels.append((across, down))
        parts.append(f'<circle cx="{x(wait):.1f}" cy="{y(share):.1f}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{across:.1f}" y="{down:.1f}" fill="{colour}">{escape(name.strip())}</text>')
    return "\n".join((*parts, "</g></svg>\n"))
