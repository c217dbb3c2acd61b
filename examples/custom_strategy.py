"""A strategy of your own: two agents answer together. One knows a lot, the other says it in few words. No key.

Say "tell me about trains". What you hear are the words of the one who keeps it short; both work on every answer, and
it makes no difference whether you talk or write.

    sottovoce serve examples/custom_strategy.py
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from orchestration import Agent, Asked, Orchestration, Runtime
from orchestration.models import Intent, Message, Prepared, Role, Scripted, ToolSpec

KNOWN = {
    "trains": "Trains roll on steel. That loses little energy, as both wheel and rail hardly give way.",
    "bees": "Bees dance to say where the flowers are. How long they waggle tells how far it is.",
    "tea": "Tea is the leaf of one plant. Whether it becomes green or black depends on what is done with it.",
}


class InShort(Orchestration):
    """What `expert` would say is said by `editor`. It serves many rooms, so all it keeps are the two agents."""

    def __init__(self, expert: Agent, editor: Agent) -> None:
        self.expert = expert
        self.editor = editor

    def agents(self) -> Sequence[Agent]:
        """Both are in the room; the first one greets."""
        return [self.expert, self.editor]

    async def install(self, runtime: Runtime, room_id: str) -> None:
        """The answers of the room are made here."""
        runtime.room(room_id).responder = self

    async def respond(self, asked: Asked) -> AsyncGenerator[str, None]:
        """The expert's answer is not said but handed to the editor, whose words are."""
        async with aclosing(asked.reply(self.expert)) as pieces:
            draft = "".join([piece async for piece in pieces])
        asked.metadata["draft_words"] = len(draft.split())  # an AFTER_BROADCAST hook sees it beside the answer
        shown = [Message(Role.USER, f"Say this in one short sentence: {draft}")]
        async with aclosing(asked.reply(self.editor, messages=shown)) as pieces:
            async for piece in pieces:
                yield piece


def in_short(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
    """What comes before the first full stop."""
    draft = messages[-1].text.partition(": ")[2]
    return f"{draft.partition('.')[0]}."


expert = Agent(
    "expert",
    role="Expert",
    prompt="You know all there is to know.",
    greeting="Hello. Ask us about trains, bees or tea.",
    model=Scripted(
        slots={"thing": list(KNOWN)},
        intents=[
            Intent(
                ["[please] tell me about {thing}", "what about {thing}"],
                answer=lambda slots: KNOWN[slots["thing"]],
                shown="tell me about trains",
            ),
        ],
        fallback=("Sorry, that is beyond us. We know about trains, bees and tea.",),
    ),
)
editor = Agent(
    "editor",
    role="Editor",
    prompt="You say in one short sentence what others need three for.",
    model=Prepared([in_short]),
)

runtime = Runtime(orchestration=InShort(expert, editor))
