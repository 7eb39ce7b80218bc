"""Generate docs/images/autoscaling.svg: two fleets, and their times to the first image."""

from collections.abc import Iterable, Iterator, Sequence
from random import Random

from benchmarks.autoscaling.autoscalers import OURS, TUTORIAL_KEDA
from benchmarks.autoscaling.cluster import FleetSample
from benchmarks.autoscaling.comparison import GAPS_MINUTES, SCENARIOS, first_image_delays
from benchmarks.autoscaling.outcomes import REFERENCE_SECONDS, simulate
from benchmarks.autoscaling.traces import HOUR
from benchmarks.measurement import Spread

_WIDTH, _LEFT, _RIGHT = 880.0, 60.0, 30.0
_INNER = _WIDTH - _LEFT - _RIGHT
_OURS, _THEIRS, _WORK, _INK = "#0b7285", "#e8590c", "#ced4da", "#495057"
_FROM_HOUR, _UNTIL_HOUR, _MAX_WORKERS = 0.0, 3.0, 20
_SLOWEST = 450.0


def chart(*, seed: int = 3, seeds: Sequence[int] = range(1, 21)) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} 640" role="img" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{_INK}">'
    )
    title = "<title>Two autoscalers: their fleets over three hours, and their first images</title>"
    paper = f'<rect width="{_WIDTH:.0f}" height="640" fill="#ffffff"/>'
    parts = [head, title, paper, *_fleets(seed), *_first_images(seeds), "</svg>"]
    return "\n".join(parts) + "\n"


def _fleets(seed: int) -> Iterator[str]:
    scenario, top, height = SCENARIOS[0], 60.0, 250.0
    trace = scenario.trace(Random(seed))
    runs = {
        each.name: simulate(trace, each, scenario.world, seed=seed, hours=scenario.hours).fleet
        for each in (OURS, TUTORIAL_KEDA)
    }

    def at(sample: FleetSample, workers: float) -> tuple[float, float]:
        share = (sample.at / HOUR - _FROM_HOUR) / (_UNTIL_HOUR - _FROM_HOUR)
        return _LEFT + share * _INNER, top + height * (1 - min(workers, _MAX_WORKERS) / _MAX_WORKERS)

    yield _text(_LEFT, 30, "Ready workers during three hours of bursts", size=16)
    for workers in range(0, _MAX_WORKERS + 1, 5):
        y = top + height * (1 - workers / _MAX_WORKERS)
        yield _line(_LEFT, y, _WIDTH - _RIGHT, y)
        yield _text(_LEFT - 8, y + 4, str(workers), anchor="end")
    for minutes in range(0, 181, 30):
        yield _text(_LEFT + minutes / 180 * _INNER, top + height + 20, f"{minutes} min", anchor="middle")
    shown = {name: [each for each in fleet if each.at / HOUR <= _UNTIL_HOUR] for name, fleet in runs.items()}
    required = [at(sample, sample.gpu_seconds / REFERENCE_SECONDS) for sample in shown[OURS.name]]
    floor = top + height
    yield (
        f'<polygon points="{_points([(_LEFT, floor), *required, (_WIDTH - _RIGHT, floor)])}" fill="{_WORK}"/>'
    )
    for autoscaler, color in ((TUTORIAL_KEDA, _THEIRS), (OURS, _OURS)):
        line = _points(_steps([at(sample, sample.ready) for sample in shown[autoscaler.name]]))
        yield f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>'
    work = f"work / {REFERENCE_SECONDS:.0f} s, under {OURS.name}"
    yield from _legend(48, ((_OURS, OURS.name), (_THEIRS, TUTORIAL_KEDA.name), (_WORK, work)))


def _first_images(seeds: Sequence[int]) -> Iterator[str]:
    top, height = 420.0, 170.0
    yield _text(
        _LEFT, 385, "Seconds from a burst to its first image, by the time since the previous burst", size=16
    )
    for seconds in range(0, 401, 100):
        y = top + height * (1 - seconds / _SLOWEST)
        yield _line(_LEFT, y, _WIDTH - _RIGHT, y)
        yield _text(_LEFT - 8, y + 4, str(seconds), anchor="end")
    for number, minutes in enumerate(GAPS_MINUTES):
        middle = _LEFT + (number + 0.5) * _INNER / len(GAPS_MINUTES)
        yield _text(middle, top + height + 20, f"{minutes} min", anchor="middle")
        for autoscaler, color, shift in ((OURS, _OURS, -22.0), (TUTORIAL_KEDA, _THEIRS, 22.0)):
            spread = first_image_delays(minutes * 60.0, autoscaler, seeds)
            yield from _bar(middle + shift, spread, color, top=top, height=height)


def _bar(x: float, spread: Spread, color: str, *, top: float, height: float) -> Iterator[str]:
    def y(seconds: float) -> float:
        return top + height * (1 - seconds / _SLOWEST)

    yield (
        f'<rect x="{x - 16:.1f}" y="{y(spread.median):.1f}" width="32" height="{y(0) - y(spread.median):.1f}" '
        f'fill="{color}"/>'
    )
    yield (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y(spread.low):.1f}" y2="{y(spread.high):.1f}" stroke="{_INK}"/>'
    )


def _legend(y: float, entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    x = _LEFT
    for color, text in entries:
        yield f'<rect x="{x:.0f}" y="{y - 10:.0f}" width="12" height="12" fill="{color}"/>'
        yield _text(x + 18, y, text)
        x += 40 + 7.2 * len(text)


def _steps(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of a step function's line."""
    corners = [points[0]]
    for x, y in points[1:]:
        if y != corners[-1][1]:
            corners += [(x, corners[-1][1]), (x, y)]
    return [*corners, (points[-1][0], corners[-1][1])]


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#e9ecef"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 13) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{text}</text>'
