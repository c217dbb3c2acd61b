"""A host who talks while two analysts, who are agents too, work at the same time. No key, no language model.

Say "compare trains and planes". While the analysts work, ask "how is it going", or "what is your name". When it is
quiet the host tells what both of them found; "say that again" has it told once more, "forget it" stops the work.

    sottovoce serve examples/supervisor_parallel.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from delivery import WaitForIdle
from orchestration import Agent, Runtime, Supervisor
from orchestration.models import Intent, Message, Prepared, Scripted, ToolSpec

ENGINEERING = {
    "trains": "Trains roll on steel and lose little energy.",
    "planes": "Planes burn most of their fuel in the climb.",
    "ships": "Ships carry the most for the least fuel.",
    "cars": "Cars stand still for most of the day.",
}
MONEY = {
    "trains": "Trains need tracks that somebody has to pay for.",
    "planes": "Planes earn money only in the air.",
    "ships": "Ships are cheap, if nobody is in a hurry.",
    "cars": "Cars cost their owners more than they think.",
}


def what_is_known(notes: Mapping[str, str]) -> Callable[[Sequence[Message], Sequence[ToolSpec]], str]:
    """An answer that picks the notes on whatever the task names."""

    def answer(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
        task = messages[-1].text
        return " ".join(note for thing, note in notes.items() if thing in task)

    return answer


technical = Agent(
    "technical",
    role="Technical analyst",
    prompt="You analyse how things work. Two sentences.",
    model=Prepared([what_is_known(ENGINEERING)], delay=6.0),
)
business = Agent(
    "business",
    role="Business analyst",
    prompt="You analyse what things cost. Two sentences.",
    model=Prepared([what_is_known(MONEY)], delay=8.0),
)

host = Agent(
    "host",
    role="Host",
    greeting="Hello. Ask me to compare trains and planes.",
    model=Scripted(
        slots={"thing": list(ENGINEERING)},
        intents=[
            Intent(
                ["[please] compare {thing} (and|with) {thing}"],
                call="delegate_workers",
                arguments=lambda slots: {"task": f"{slots['thing']} and {slots['thing2']}"},
                answer="Two analysts are comparing {thing} and {thing2}. We can talk on meanwhile.",
                shown="compare trains and planes",
            ),
            Intent(["what is your name", "who are you"], answer="I am a script, and my analysts are scripts too."),
            Intent(["how is it going", "are you done"], call="task_status"),
            Intent(["forget it", "cancel that"], call="cancel_task"),
            Intent(["say that again", "what did you find [out]"], call="recall"),
            Intent(["thank you", "thanks"], answer="You are welcome."),
        ],
        fallback=("Sorry, I can only compare trains, planes, ships and cars.",),
        telling=("The analysts are back. {result}",),
    ),
)

runtime = Runtime(
    orchestration=Supervisor(host, workers=[technical, business], strategy="parallel"),
    delivery=WaitForIdle(buffer=1.0),
)
