"""Charts drawn by the server: the coordinates of lines, bars and labels in the units of the SVG."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT = 400, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 10, 22


@dataclass(frozen=True, slots=True)
class Mark:
    """One day: its coordinates and its value, or None if the value is missing or suppressed."""

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
    """One measure by day. `lines` are SVG paths of unbroken runs of days; `bar` is the width of a bar."""

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
    def visible_marks(self) -> list[Mark]:
        return [mark for mark in self.marks if mark.value is not None]

    @property
    def lowest(self) -> float | None:
        return min((mark.value for mark in self.visible_marks if mark.value is not None), default=None)

    @property
    def highest(self) -> float | None:
        return max((mark.value for mark in self.visible_marks if mark.value is not None), default=None)


def draw_chart(
    slug: str,
    name: str,
    values: Sequence[tuple[date, float | None]],
    shown: Callable[[float | None], str],
    *,
    tick: Callable[[float | None], str] | None = None,
    bars: bool = False,
    least: float,
) -> Chart:
    """Return the chart of these days, oldest first.

    The scale begins at zero, so that heights are comparable, and ends at `least` or more. Half of `least` must be a
    value that a label can show: a count of people has no halves.
    """
    top = max(_round_up(max((value for _, value in values if value is not None), default=0)), least)
    step, height = (WIDTH - _LEFT - _RIGHT) / max(len(values), 1), HEIGHT - _TOP - _BOTTOM
    marks = [
        Mark(
            day,
            value,
            round(_LEFT + step * (index + 0.5), 1),
            round(_TOP + height * (1 - (value or 0) / top), 1),
        )
        for index, (day, value) in enumerate(values)
    ]
    ticks = [Tick(round(_TOP + height * (1 - share), 1), (tick or shown)(top * share)) for share in (0, 0.5, 1)]
    return Chart(
        slug,
        name,
        bars,
        marks,
        [] if bars else _build_paths(marks),
        round(step * 0.64, 1),
        ticks,
        _pick_labelled_days(marks),
        shown,
    )


def _build_paths(marks: Sequence[Mark]) -> list[str]:
    runs: list[list[Mark]] = [[]]
    for mark in marks:
        if mark.value is None:
            runs.append([])
        else:
            runs[-1].append(mark)
    return ["M" + "L".join(f"{mark.x} {mark.y}" for mark in run) for run in runs if len(run) > 1]


def _pick_labelled_days(marks: Sequence[Mark]) -> list[Mark]:
    """Return the days with a label under the chart: the first, the middle and the last."""
    if len(marks) < 3:
        return list(marks)
    return [marks[0], marks[len(marks) // 2], marks[-1]]


def _round_up(most: float) -> float:
    """Return the round number at the top of a scale that contains `most`. Half of it is round too."""
    if most <= 0:
        return 1
    unit = 10.0 ** math.floor(math.log10(most))
    return next(unit * step for step in (1, 2, 4, 6, 8, 10) if unit * step >= most)
