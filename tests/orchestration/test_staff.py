"""Staff: a room's own workers come first in that room, and nowhere else."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from orchestration.staff import Staff
from tests.orchestration.office import analyst, works
from voice.clock import now, run


def test_a_room_finds_its_own_first_and_then_everybodys() -> None:
    ours, theirs, other = works(1), works(2), works(3)
    staff = Staff()
    staff.register(ours)
    staff.register(theirs, room="lobby")
    staff.register(other, room="attic")
    assert staff.find("analyst") is ours
    assert staff.find("analyst", "cellar") is ours
    assert staff.find("analyst", "lobby") is theirs
    assert staff.find("analyst", "attic") is other
    assert staff.find("analyst", "cellar", own=True) is None
    assert staff.find("nobody", "lobby") is None
    staff.unregister("lobby")
    staff.unregister("lobby")
    assert staff.find("analyst", "lobby") is ours
    assert staff.find("analyst", "attic") is other


def test_ids_differ_within_a_room_only() -> None:
    one, other = works(1), works(2)
    staff = Staff()
    staff.register(one, room="lobby")
    staff.register(one, room="lobby")
    with pytest.raises(ValueError, match="workers: the id 'analyst' is used twice; ids must differ"):
        staff.register(other, room="lobby")
    staff.register(other)
    staff.unregister("lobby")
    staff.register(other, room="lobby")
    assert staff.find("analyst", "lobby") is other


def test_names_are_those_that_a_room_may_use() -> None:
    staff = Staff()
    assert staff.names("lobby") == []
    staff.register(works(1))
    staff.register(analyst(works(1).job, "baker"), works(1), room="lobby")
    assert (staff.names(), staff.names("lobby"), staff.names("attic")) == (
        ["analyst"],
        ["analyst", "baker"],
        ["analyst"],
    )


def test_one_that_comes_later_is_waited_for() -> None:
    async def main() -> None:
        staff, ours, theirs = Staff(), works(1), works(2)
        for at, worker, room in ((1, ours, None), (2, ours, "attic"), (3, theirs, "lobby")):
            asyncio.get_running_loop().call_later(at, partial(staff.register, worker, room=room))
        either, own = await asyncio.gather(
            staff.coming("analyst", "lobby", 10), staff.coming("analyst", "lobby", 10, own=True)
        )
        assert (either is ours, own is theirs, now()) == (True, True, 3)
        assert await staff.coming("nobody", "lobby", 10) is None
        assert now() == 13

    run(main())


def test_one_of_everybodys_does_for_one_of_the_rooms_that_does_not_come() -> None:
    async def main() -> None:
        staff, ours = Staff(), works(1)
        staff.register(ours)
        assert await staff.coming("analyst", "lobby", 10, own=True) is ours
        assert now() == 10

    run(main())
