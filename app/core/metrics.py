"""Counts of what happens in this process, in the terms of Prometheus. Serving them is left to whoever collects them.

A label's values come from a closed set (a route's template, a problem's slug), never from what a caller sent.
"""

from collections import Counter as _Numbers
from collections.abc import Mapping


class Counter:
    """A number that only grows, for each combination of its labels' values."""

    def __init__(self, name: str, about: str, *labels: str) -> None:
        self.name = name
        self.about = about
        self.labels = labels
        self._numbers: _Numbers[tuple[str, ...]] = _Numbers()

    def add(self, *values: str) -> None:
        """Count one with these values of the labels, in their order."""
        self._numbers[values] += 1

    def snapshot(self) -> Mapping[tuple[str, ...], int]:
        """The numbers so far, by the values of the labels."""
        return dict(self._numbers)
