"""What a stranger wrote cannot be read: one error for messages, addresses and session descriptions alike."""

from __future__ import annotations


class Malformed(ValueError):  # noqa: N818 - it says what came, not what we did wrong
    """It cannot be read, for the reason given; `status` is what a request of this kind is answered with, if at all."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.why = why
        self.status = status
