"""Writes and additions of Listen targets exclude each other."""

import asyncio

from local_stack.firestore_proxy.target_gate import TargetGate


async def _write(gate: TargetGate, events: list[str]) -> None:
    async with gate.write():
        events.append("written")


def test_write_waits_until_a_target_is_added() -> None:
    async def scenario() -> list[str]:
        gate, events = TargetGate(), list[str]()
        await gate.begin_addition()
        writing = asyncio.create_task(_write(gate, events))
        await asyncio.sleep(0)
        events.append("added")
        gate.end_addition()
        await writing
        return events

    assert asyncio.run(scenario()) == ["added", "written"]


def test_addition_waits_for_writes_in_progress_and_goes_before_later_ones() -> None:
    async def scenario() -> list[str]:
        gate, events = TargetGate(), list[str]()

        async def add() -> None:
            await gate.begin_addition()
            events.append("added")
            gate.end_addition()

        async with gate.write():
            adding = asyncio.create_task(add())
            await asyncio.sleep(0)
            later = asyncio.create_task(_write(gate, events))
            await asyncio.sleep(0)
            events.append("first write")
        await asyncio.gather(adding, later)
        return events

    assert asyncio.run(scenario()) == ["first write", "added", "written"]


def test_write_goes_on_although_a_target_is_never_added() -> None:
    async def scenario() -> list[str]:
        gate, events = TargetGate(), list[str]()
        await gate.begin_addition()
        await _write(gate, events)
        return events

    assert asyncio.run(scenario()) == ["written"]
