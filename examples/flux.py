"""Deepgram's Flux hears when a turn is over, and foresees it: the answer is begun before that is sure.

A caller waits half a second less. What is begun ahead and not wanted is dropped unheard, but paid for.

    pip install 'sottovoce[demo,anthropic,deepgram]'
    export DEEPGRAM_API_KEY=... ANTHROPIC_API_KEY=...      # or, without keys: python -m tests.fakes
    sottovoce serve examples/flux.py
"""

from __future__ import annotations

from orchestration import Agent, HookContext, HookTrigger, Pipeline, RoomEvent, Runtime, Speech
from orchestration.models import Anthropic
from voice import stt, tts
from voice.endpointing import GivenEnd

host = Agent(
    "host",
    role="Host",
    greeting="Hello. Ask me anything.",
    prompt="You are on the telephone. All you write is spoken aloud: answer in one or two short sentences.",
    model=Anthropic(),
)

runtime = Runtime(
    orchestration=Pipeline(agents=[host]),
    speech=Speech(
        # From a probability of 0.4 on Flux announces the end of a turn; lower is sooner, and more often in vain.
        stt=stt.DeepgramFlux(eager_eot_threshold=0.4),
        tts=[tts.Deepgram(), tts.Flite(), tts.Espeak()],
        # Flux ends the turns. Silence does only where Flux has said nothing for so many seconds.
        endpointer=GivenEnd(longest=4.0),
        preemptive=True,  # as it is anyway; False: no model is ever asked before a turn is over
    ),
)


@runtime.hook(HookTrigger.AFTER_BROADCAST)
def gained(event: RoomEvent, context: HookContext) -> None:
    if ahead := event.metadata.get("preemptive"):
        print(f"{event.sender_id}: begun {ahead['seconds']:.2f} s before the turn was over")
