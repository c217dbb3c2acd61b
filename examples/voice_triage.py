"""A receptionist on the phone has agents look things up in the background, and talks on. No key, no language model.

Say "my order is late": an agent looks for it, while you can ask "when are you open". Say "i need an appointment" too:
a second agent looks for one. What they find is told when it is quiet.

    sottovoce serve examples/voice_triage.py
"""

from __future__ import annotations

from delivery import Queued
from orchestration import Agent, HookContext, HookEvent, HookExecution, HookTrigger, Runtime, Supervisor
from orchestration.models import Intent, Prepared, Scripted

orders = Agent(
    "orders",
    role="Order desk",
    prompt="You find out where an order is. One sentence.",
    model=Prepared(["Your order is on the van and will be with you by noon."], delay=6.0),
)
diary = Agent(
    "diary",
    role="Diary",
    prompt="You find the next free appointment. One sentence.",
    model=Prepared(["The next free appointment is on Tuesday at nine."], delay=5.0),
)
receptionist = Agent(
    "receptionist",
    role="Receptionist",
    greeting="Good morning. You can say: my order is late.",
    prompt="You receive callers. What takes time you leave to your colleagues.",
    model=Scripted(
        [
            Intent(
                ["my order is late", "where is my order"],
                call="delegate_to_orders",
                arguments=lambda slots: {"task": "Where is the order of this caller?"},
                answer="Our order desk is looking for it. What else can I do for you?",
            ),
            Intent(
                ["[i need] an appointment", "when can i come"],
                call="delegate_to_diary",
                arguments=lambda slots: {"task": "When is the next free appointment?"},
                answer="I have somebody look at the diary.",
                shown="i need an appointment",
            ),
            Intent(["when are you open"], answer="We are open from eight to six."),
            Intent(["how is it going", "are you done"], call="task_status"),
            Intent(["forget it"], call="cancel_task"),
            Intent(["say that again"], call="recall"),
            Intent(["thank you", "goodbye"], answer="You are welcome."),
        ],
        fallback=("Sorry, I am only a script. Say: my order is late. Or: I need an appointment.",),
        telling=("I have heard from my colleagues. {result}",),
    ),
)
runtime = Runtime(
    orchestration=Supervisor(receptionist, workers=[orders, diary]),
    delivery=Queued(buffer=1.0),  # what both have found by then is told together
)


@runtime.hook(HookTrigger.ON_TASK_DELEGATED, execution=HookExecution.SYNC)
def signed(event: HookEvent, context: HookContext) -> str:
    """What is delegated passes here; `raise Refuse(why)` would keep it from being done."""
    return f"{event.text} (asked by {event.metadata['caller']})"
