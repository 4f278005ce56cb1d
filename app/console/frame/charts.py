"""Charts drawn by the server: where the lines, bars and labels of an SVG picture stand, in its own units."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT = 400, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 10, 22


@dataclass(frozen=True, slots=True)
class Mark:
    """One day: where it stands, and its value; None where it is not told."""

    day: date
    value: float | None
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One measure, day by day. `lines` are unbroken runs of days as paths; `bar` is the width of a bar."""

    slug: str
    name: str
    bars: bool
    marks: Sequence[Mark]
    lines: Sequence[str]
    bar: float
    ticks: Sequence[Tick]
    days: Sequence[Mark]
    shown: Callable[[float | None], str]
    floor: float = HEIGHT - _BOTTOM
    left: float = _LEFT
    right: float = WIDTH - _RIGHT

    @property
    def told(self) -> list[Mark]:
        return [mark for mark in self.marks if mark.value is not None]

    @property
    def lowest(self) -> float | None:
        return min((mark.value for mark in self.told if mark.value is not None), default=None)

    @property
    def highest(self) -> float | None:
        return max((mark.value for mark in self.told if mark.value is not None), default=None)


def draw(
    slug: str,
    name: str,
    values: Sequence[tuple[date, float | None]],
    shown: Callable[[float | None], str],
    *,
    tick: Callable[[float | None], str] | None = None,
    bars: bool = False,
    least: float,
) -> Chart:
    """The chart of these days, oldest first; the scale begins at nothing, so that heights compare, and goes at least
    to `least`, the half of which can still be written: of people there is no half."""
    top = max(_nice(max((value for _, value in values if value is not None), default=0)), least)
    room, height = (WIDTH - _LEFT - _RIGHT) / max(len(values), 1), HEIGHT - _TOP - _BOTTOM
    marks = [
        Mark(
            day,
            value,
            round(_LEFT + room * (place + 0.5), 1),
            round(_TOP + height * (1 - (value or 0) / top), 1),
        )
        for place, (day, value) in enumerate(values)
    ]
    ticks = [Tick(round(_TOP + height * (1 - part), 1), (tick or shown)(top * part)) for part in (0, 0.5, 1)]
    return Chart(
        slug, name, bars, marks, [] if bars else _lines(marks), round(room * 0.64, 1), ticks, _named(marks), shown
    )


def _lines(marks: Sequence[Mark]) -> list[str]:
    runs: list[list[Mark]] = [[]]
    for mark in marks:
        if mark.value is None:
            runs.append([])
        else:
            runs[-1].append(mark)
    return ["M" + "L".join(f"{mark.x} {mark.y}" for mark in run) for run in runs if len(run) > 1]


def _named(marks: Sequence[Mark]) -> list[Mark]:
    """The days that are written under the chart: the first, the last, and one between."""
    if len(marks) < 3:
        return list(marks)
    return [marks[0], marks[len(marks) // 2], marks[-1]]


def _nice(most: float) -> float:
    """The round number at the top of a scale that holds `most`: its half is as round."""
    if most <= 0:
        return 1
    unit = 10.0 ** math.floor(math.log10(most))
    return next(unit * step for step in (1, 2, 4, 6, 8, 10) if unit * step >= most)
