"""Datagrams as strangers and bad lines make them: known good packets with bytes and bits changed."""

from __future__ import annotations

from random import Random


def mutated(data: bytes, random: Random) -> bytes:
    """`data` with one to four changes, most of them in the first bytes."""
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(min(len(data), random.choice((2, 4, 16, 400))) + 1)
        match random.choices(range(5), (6, 4, 1, 1, 1))[0]:
            case 0:
                data = data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
            case 1 if at < len(data):
                data = data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
            case 2:
                data = data[:at]
            case 3:
                data = data[:at] + random.randbytes(random.choice((1, 4, 160, 3000))) + data[at:]
            case _:
                data = data[:at] + data[at + random.choice((1, 4, 100)) :]
    return data
