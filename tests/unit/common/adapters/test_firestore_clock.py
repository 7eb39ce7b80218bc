"""FirestoreClock with a machine's clock and a timer that the test sets."""

from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from common.adapters.firestore_clock import TOLERANCE_SECONDS, FirestoreClock
from tests.fakes.fake_clock import FakeClock


class Machine:
    """A machine whose clock is wrong, and the right time, which Firestore has."""

    def __init__(self, *, ahead: float) -> None:
        self.right = FakeClock()
        self.wall = FakeClock(self.right.now() + timedelta(seconds=ahead))
        self.started = self.right.now()
        self.clock = FirestoreClock(self.wall, timer=self.timer)

    def timer(self) -> float:
        return 1_000 + (self.right.now() - self.started).total_seconds()

    def pass_time(self, seconds: float) -> None:
        self.right.advance(seconds)
        self.wall.advance(seconds)

    def call_firestore(self, *, there: float = 0.0, back: float = 0.0) -> None:
        sent_at = self.timer()
        self.pass_time(there)
        replied = self.right.now()
        self.pass_time(back)
        self.clock.observe(replied, sent_at=sent_at)

    @property
    def error(self) -> float:
        return (self.clock.now() - self.right.now()).total_seconds()


@pytest.mark.parametrize("ahead", [-7_200, -61, 61, 7_200])
def test_reply_corrects_a_wrong_clock(ahead: float) -> None:
    machine = Machine(ahead=ahead)
    assert machine.error == ahead
    machine.call_firestore()
    assert machine.error == pytest.approx(0, abs=1e-5)
    machine.pass_time(86_400)
    assert machine.error == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("ahead", [-TOLERANCE_SECONDS + 0.1, 0, TOLERANCE_SECONDS - 0.1])
def test_nearly_right_clock_is_not_corrected(ahead: float) -> None:
    machine = Machine(ahead=ahead)
    machine.call_firestore()
    assert machine.clock.now() == machine.wall.now()


@pytest.mark.parametrize("ahead", [-61, 61])
@pytest.mark.parametrize(("there", "back"), [(9, 1), (1, 9)])
def test_correction_is_as_exact_as_the_reply_was_fast(ahead: float, there: float, back: float) -> None:
    machine = Machine(ahead=ahead)
    machine.call_firestore(there=there, back=back)
    assert abs(machine.error) <= there + back
    machine.call_firestore(there=0.01, back=0.01)
    assert abs(machine.error) <= 0.021


def test_slow_reply_does_not_change_a_right_clock() -> None:
    machine = Machine(ahead=0)
    machine.call_firestore(there=9, back=1)
    assert machine.clock.now() == machine.wall.now()


@pytest.mark.parametrize("step", [-3_600, 3_600])
def test_clock_that_is_set_later_is_corrected_without_a_reply(step: float) -> None:
    machine = Machine(ahead=0)
    machine.call_firestore()
    machine.wall.advance(step)
    assert machine.error == pytest.approx(0, abs=1e-5)


def test_clock_that_is_set_right_is_used_again() -> None:
    machine = Machine(ahead=61)
    machine.call_firestore()
    machine.wall.advance(-61)
    assert machine.clock.now() == machine.wall.now()


def test_wrong_clock_is_logged_once_until_it_was_right() -> None:
    machine = Machine(ahead=61)
    with capture_logs() as lines:
        for step in (0, 0, -61, 0, -90):
            machine.wall.advance(step)
            machine.call_firestore()
    assert [(line["event"], line["log_level"], line["ahead_seconds"]) for line in lines] == [
        ("clock_is_wrong", "error", 61),
        ("clock_is_wrong", "error", -90),
    ]


@pytest.mark.parametrize("ahead", [-TOLERANCE_SECONDS - 0.03, TOLERANCE_SECONDS + 0.03])
def test_correction_does_not_flip_when_the_error_is_near_the_tolerance(ahead: float) -> None:
    machine = Machine(ahead=ahead)
    with capture_logs() as lines:
        for delay in (0.0, 0.08, 0.0, 0.08):
            machine.call_firestore(there=delay, back=delay)
            assert abs(machine.error) <= 0.081
    assert [line["event"] for line in lines] == ["clock_is_wrong"]


def test_machine_clock_is_used_by_default() -> None:
    clock = FirestoreClock()
    clock.observe(datetime.now(UTC), sent_at=clock.timer())
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=TOLERANCE_SECONDS)
