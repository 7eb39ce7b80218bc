"""Writes and additions of Listen targets exclude each other."""

import asyncio

import pytest

from local_stack.firestore_proxy import target_gate
from local_stack.firestore_proxy.target_gate import TargetGate


async def _write(gate: TargetGate, events: list[str]) -> None:
    async with gate.write():
        events.append("written")


def test_write_waits_until_a_target_is_added() -> None:
    async def scenario() -> list[str]:
        gate, events = TargetGate(), list[str]()
        addition = gate.begin_addition()
        writing = asyncio.create_task(_write(gate, events))
        await asyncio.sleep(0)
        events.append("added")
        addition.end()
        await writing
        return events

    assert asyncio.run(scenario()) == ["added", "written"]


def test_write_waits_for_every_addition() -> None:
    async def scenario() -> list[str]:
        gate, events = TargetGate(), list[str]()
        first, second = gate.begin_addition(), gate.begin_addition()
        writing = asyncio.create_task(_write(gate, events))
        for _ in range(2):
            first.end()
        await asyncio.sleep(0)
        events.append("added")
        second.end()
        await writing
        return events

    assert asyncio.run(scenario()) == ["added", "written"]


def test_addition_waits_for_earlier_writes_and_precedes_later_ones() -> None:
    async def scenario() -> list[str]:
        gate, events = TargetGate(), list[str]()

        async def add() -> None:
            addition = gate.begin_addition()
            await addition.wait_for_writes()
            events.append("added")
            addition.end()

        async with gate.write():
            adding = asyncio.create_task(add())
            await asyncio.sleep(0)
            later = asyncio.create_task(_write(gate, events))
            await asyncio.sleep(0)
            events.append("first write")
        await asyncio.gather(adding, later)
        return events

    assert asyncio.run(scenario()) == ["first write", "added", "written"]


def test_waiting_write_goes_before_later_additions() -> None:
    async def scenario() -> list[str]:
        gate, events = TargetGate(), list[str]()
        first = gate.begin_addition()
        writing = asyncio.create_task(_write(gate, events))
        await asyncio.sleep(0)
        second = gate.begin_addition()
        first.end()
        await second.wait_for_writes()
        events.append("second addition")
        second.end()
        await writing
        return events

    assert asyncio.run(scenario()) == ["written", "second addition"]


@pytest.mark.parametrize("waits_for_writes", [False, True])
def test_addition_ends_by_itself(monkeypatch: pytest.MonkeyPatch, waits_for_writes: bool) -> None:
    monkeypatch.setattr(target_gate, "_LONGEST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(target_gate, "_LONGEST_ADDITION_SECONDS", 0.01)

    async def scenario() -> list[str]:
        gate, events = TargetGate(), list[str]()
        async with asyncio.timeout(60):
            async with gate.write():  # an addition does not wait for it long
                addition = gate.begin_addition()
                if waits_for_writes:
                    await addition.wait_for_writes()
            await _write(gate, events)
        return events

    assert asyncio.run(scenario()) == ["written"]
