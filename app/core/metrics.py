"""Counters of events in this process, in the terms of Prometheus. This module does not serve them.

The values of a label come from a closed set (the template of a route, the slug of a problem), never from a caller.
"""

from collections import Counter as _Numbers
from collections.abc import Mapping


class Counter:
    """A metric that only grows: a number for each combination of label values."""

    def __init__(self, name: str, about: str, *labels: str) -> None:
        self.name = name
        self.about = about
        self.labels = labels
        self._numbers: _Numbers[tuple[str, ...]] = _Numbers()

    def add(self, *values: str) -> None:
        """Add one for these label values, in the order of the labels."""
        self._numbers[values] += 1

    def read_numbers(self) -> Mapping[tuple[str, ...], int]:
        """Return the present numbers by label values."""
        return dict(self._numbers)
