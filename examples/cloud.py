"""A voice agent in the cloud, Deepgram's ears and voice with Anthropic's mind, that talks on when any of them fails.

Say "look into electric cars": two researchers with a bigger model write about it while you talk on.

    pip install 'sottovoce[demo,anthropic,deepgram]'
    export DEEPGRAM_API_KEY=... ANTHROPIC_API_KEY=...      # or, without keys: python -m tests.fakes
    sottovoce doctor examples/cloud.py
    sottovoce serve examples/cloud.py
"""

from __future__ import annotations

from orchestration import Agent, HookContext, HookTrigger, RoomEvent, Runtime, Speech, Supervisor
from orchestration.models import Anthropic, FallbackModel, Intent, Scripted
from voice import stt, tts
from voice.backoff import Backoff

PROMPT = """You are the host of a telephone line. All you write is spoken aloud: one or two short sentences, no lists, \
no markup. When the caller wants something looked into, call delegate_workers with the topic and say that your \
researchers are on it; what they find is told later by itself. Never make a result up."""

# The small, fast model talks: a caller waits for its first word. The script is there for when it cannot be reached.
script = Scripted(
    [Intent(["hello", "hi there"], answer="Hello. I am only a script just now, as my mind cannot be reached.")],
    fallback=("My mind cannot be reached just now. Please ask me again in a minute.",),
    telling=("My researchers are back. {result}",),
)
host = Agent(
    "host",
    role="Host",
    greeting="Hello. What shall I look into for you?",
    prompt=PROMPT,
    # Best first. Each is asked again when it fails, then the next is; one that keeps failing is left alone for a while.
    model=[Anthropic(), script],
)


def researcher(id: str, subject: str) -> Agent:
    """Nobody waits on the telephone for a worker: a bigger model, asked again for longer than usual."""
    return Agent(
        id,
        role=id.title(),
        prompt=f"You are given a topic. Say what matters about its {subject}, in two plain sentences to be read aloud.",
        model=FallbackModel([Anthropic(model="claude-sonnet-5-5")], backoff=Backoff(tries=5, patience=60.0)),
    )


runtime = Runtime(
    orchestration=Supervisor(
        host, workers=[researcher("engineer", "technology"), researcher("economist", "costs")], strategy="parallel"
    ),
    # Where one fails, the next takes over in the middle of the call: what is embedded needs no network.
    speech=Speech(stt=[stt.Deepgram(), stt.Pocketsphinx()], tts=[tts.Deepgram(), tts.Flite(), tts.Espeak()]),
)


@runtime.hook(HookTrigger.AFTER_BROADCAST)
def cost(event: RoomEvent, context: HookContext) -> None:
    """What an answer cost, and the whole room so far, the researchers included."""
    if usage := event.metadata.get("usage"):
        room = context.runtime.usage(context.room)
        print(f"{event.sender_id}: {usage['output']} tokens, {dollars(usage)}; this room: {dollars(room)}")


def dollars(usage: dict[str, float | None]) -> str:
    """`cost` is None where no price is known."""
    return "no price" if usage["cost"] is None else f"${usage['cost']:.5f}"
