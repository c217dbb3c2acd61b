"""The demo that `make serve` starts: a host who talks while two analysts work. No key, no server, no language model.

The brain is a script with a small grammar (the page lists it); everything around it is the real thing: the ears, the
voices, the floor, the ledger and the background tasks. With ANTHROPIC_API_KEY set the host talks freely, with
DEEPGRAM_API_KEY it hears and speaks better; the script and what is embedded then stand by for when those fail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from delivery import WaitForIdle
from orchestration import Agent, Runtime, Supervisor
from orchestration.models import Intent, Scripted, preferred
from orchestration.workers import Context, worker

TECHNICAL = {
    "electric cars": "Electric cars need a third of the energy of petrol cars, and their batteries last ten years.",
    "solar panels": "Solar panels lose half a percent of their yield a year, and a roof of ten panels covers one home.",
    "heat pumps": "Heat pumps give three units of heat for one of power, as long as the house is well insulated.",
    "wind power": "Wind power runs at forty percent of its peak at sea, and at twenty five percent on land.",
    "night trains": "Night trains use a tenth of the energy of a flight, but sleeping cars are in short supply.",
}
BUSINESS = {
    "electric cars": "They cost more to buy and less to run, and break even after five years.",
    "solar panels": "They pay for themselves in nine years, and in seven with a battery.",
    "heat pumps": "They cost twice as much as a boiler, and grants cover about a third of that.",
    "wind power": "It is the cheapest power there is today, but permits take six years.",
    "night trains": "Tickets sell out months ahead, and most routes need a subsidy.",
}
CLOCKS = {"london": 0, "paris": 1, "rome": 1, "new york": -5, "tokyo": 9}
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


@worker(role="Technical analyst")
async def technical(topic: str, context: Context) -> str:
    """Takes its time, in two steps that are not repeated after a crash."""
    await context.step("read", lambda: pretend(context, "reading the studies", 3.0))
    await context.step("weigh", lambda: pretend(context, "weighing the numbers", 3.0))
    return known(TECHNICAL, topic) or f"There is too little published about {topic} to say much."


@worker(role="Business analyst")
async def business(topic: str, context: Context) -> str:
    """Works beside the technical analyst."""
    await context.step("ask", lambda: pretend(context, "asking the market", 4.0))
    return known(BUSINESS, topic) or f"I found no prices for {topic}."


def known(shelf: Mapping[str, str], topic: str) -> str:
    """What is known of the first thing that the topic names; "" if of none."""
    return next((text for name, text in shelf.items() if name in topic.lower()), "")


async def pretend(context: Context, what: str, seconds: float) -> str:
    """Stands in for slow work: a search, a model, a form to be filled in."""
    context.progress(what)
    await asyncio.sleep(seconds)
    return what


async def time_in(city: str) -> str:
    """The time in London, Paris, Rome, New York or Tokyo, without daylight saving: a demo's clock."""
    if city.lower() not in CLOCKS:
        return f"I have no clock for {city}."
    now = datetime.now(UTC) + timedelta(hours=CLOCKS[city.lower()])
    return f"In {city.title()} it is {now.hour}:{now.minute:02}."


def the_sum(slots: Mapping[str, str]) -> str:
    """Adds two numbers up to ten."""
    first, second = (NUMBERS.index(slots[name]) + 1 for name in ("number", "number2"))
    return f"{first} plus {second} is {first + second}."


brain = Scripted(
    slots={"topic": list(TECHNICAL), "city": list(CLOCKS), "number": NUMBERS},
    intents=[
        Intent(
            ["[please] look into {topic} [for me]", "what about {topic}", "[can you] find out about {topic}"],
            call="delegate_workers",
            arguments=lambda slots: {"task": slots["topic"]},
            answer="I am on it. Two analysts are looking into {topic}. Ask me something else meanwhile.",
            shown="look into electric cars",
        ),
        Intent(
            ["what time is it [in {city}]"],
            call="time_in",
            arguments=lambda slots: {"city": slots.get("city", "london")},
            answer="{result}",
            shown="what time is it in rome",
        ),
        Intent(["what is {number} plus {number}"], answer=the_sum, shown="what is two plus three"),
        Intent(
            ["tell me a joke"], answer="Why do programmers mix up Halloween and Christmas? Because oct 31 is dec 25."
        ),
        Intent(["how is it going", "are you done"], call="task_status"),
        Intent(["forget it", "cancel that"], call="cancel_task"),
        Intent(["what did you find [out]", "say that again"], call="recall"),
        Intent(["hello", "good morning", "hi there"], answer="Hello. What shall I look into for you?"),
        Intent(["thank you [very much]", "thanks"], answer="You are welcome."),
        Intent(["stop", "wait", "hold on"], answer="All right."),
        Intent(["yes", "no", "okay", "yeah", "right", "uh huh", "mhm"], answer="All right."),
        Intent(["what can you do", "help"], answer="I can look into electric cars, for example, while we talk on."),
        Intent(["goodbye", "bye bye"], answer="Goodbye. What is still open will wait for you."),
    ],
    fallback=(
        "Sorry, I only know the sentences on your screen.",
        "I am only a script, and that was not in it. The page shows what I understand.",
    ),
    telling=("Here is what my analysts found. {result}",),
)

PROMPT = """You are Sottovoce, the host of a telephone line. All you write is spoken aloud: answer in one or two short \
sentences, without lists or markup. When the caller wants something looked into, call delegate_workers with the topic \
and say that your two analysts are on it; their result is told later by itself. Never make a result up."""

host = Agent(
    "host",
    model=preferred(brain),
    prompt=PROMPT,
    tools=[time_in],
    role="Host",
    greeting="Hello, I am Sottovoce. Ask me to look into electric cars.",
)

runtime = Runtime(
    orchestration=Supervisor(host, workers=[technical, business], strategy="parallel"),
    delivery=WaitForIdle(buffer=1.0),
    rooms=["lobby", "kitchen", "attic"],
)
