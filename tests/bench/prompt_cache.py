"""What a long talk costs with a window that slides, and with one that drops in steps.

`python -m tests.bench.prompt_cache`. A caller and an agent talk for 200 turns; the requests are those of `Anthropic`,
counted by the cache of the fake server (`tests.fakes.anthropic_rules`). Printed is the share of all input that is read
from the cache and what the input costs, in tokens that cost the plain price: reading the cache costs a tenth of it,
writing it a quarter more.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from orchestration.memory import MemoryProvider, SlidingWindowMemory
from orchestration.models.anthropic import Anthropic
from orchestration.models.model import Message, Role
from orchestration.state import ConversationState
from tests.fakes.anthropic_rules import Cache

TURNS = 200
PROMPT = "You are the host of a small restaurant by the sea. Be brief, and never promise what is not on the list. " * 20
ASKED = "I would like to know what you have today, and whether table {} is free at eight."
ANSWER = "We have fish today, fresh from the harbour, and soup. Table {} is free at eight; shall I put your name down?"


class Sliding:
    """It drops one message for each that comes."""

    def __init__(self, size: int) -> None:
        self._messages: deque[Message] = deque(maxlen=size)

    def fresh(self) -> Sliding:
        return Sliding(self._messages.maxlen or 1)

    def add(self, *messages: Message) -> None:
        self._messages.extend(messages)

    def messages(self, agent_id: str = "", state: ConversationState | None = None) -> Sequence[Message]:
        return list(self._messages)


def talk(memory: MemoryProvider, turns: int = TURNS) -> tuple[float, float]:
    """The share of input tokens that is read from the cache, and the price of all input, in plain tokens a turn."""
    model, cache, tokens = Anthropic(), Cache(), Counter[str]()
    for number in range(turns):
        memory.add(Message(Role.USER, ASKED.format(number)))
        tokens.update(cache.counts(model._request(memory.messages(), PROMPT, ())))
        memory.add(Message(Role.ASSISTANT, ANSWER.format(number)))
    read, written = tokens["cache_read_input_tokens"], tokens["cache_creation_input_tokens"]
    return read / tokens.total(), (0.1 * read + 1.25 * written + tokens["input_tokens"]) / turns


def main() -> None:
    """Print the table."""
    print("window   slides: read   price a turn    in steps: read   price a turn")
    for size in (10, 20, 50, 100):
        sliding, steps = talk(Sliding(size)), talk(SlidingWindowMemory(size))
        print(f"{size:6}   {sliding[0]:12.0%}   {sliding[1]:12.0f}    {steps[0]:14.0%}   {steps[1]:12.0f}")


if __name__ == "__main__":
    main()
