"""Metrics of this process, in the terms of Prometheus. `app.monitoring` serves them.

The values of a label come from a closed set (the template of a route, the slug of a problem), never from a caller:
each new value is a series that Prometheus stores, and a label must not name a person.
"""

from collections.abc import Mapping, Sequence

import prometheus_client
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily

REGISTRY = CollectorRegistry()
"""The metrics of this process. It is not the library's default one, which other packages use too."""

PREFIX = "xuezu"


class Counter:
    """A metric that only grows: a number for each combination of label values."""

    def __init__(self, name: str, about: str, *labels: str) -> None:
        """`name` ends with `_total`; the metric is `xuezu_` and this name."""
        self.name = f"{PREFIX}_{name}"
        self.labels = labels
        self._metric = prometheus_client.Counter(name, about, labels, namespace=PREFIX, registry=REGISTRY)
        self._children: dict[tuple[str, ...], prometheus_client.Counter] = {}

    def add(self, *values: str) -> None:
        """Add one for these label values, in the order of the labels."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self._metric.labels(*values) if values else self._metric
        child.inc()

    def read_numbers(self) -> Mapping[tuple[str, ...], int]:
        """Return the present numbers by label values."""
        return {
            tuple(sample.labels[label] for label in self.labels): int(sample.value)
            for metric in self._metric.collect()
            for sample in metric.samples
            if sample.name == self.name
        }


class Gauge:
    """A metric that goes up and down. Without a known value it has no series, so that no old value is shown."""

    def __init__(self, name: str, about: str, *labels: str) -> None:
        """The metric is `xuezu_` and this name."""
        self.name = f"{PREFIX}_{name}"
        self.labels = labels
        self._numbers: dict[tuple[str, ...], float] = {}
        self._about = about
        REGISTRY.register(self)

    def set(self, number: float | None, *values: str) -> None:
        """Set the value for these label values, in the order of the labels; None means unknown."""
        if number is None:
            self._numbers.pop(values, None)
        else:
            self._numbers[values] = number

    def clear(self) -> None:
        """Forget all values."""
        self._numbers.clear()

    def collect(self) -> Sequence[prometheus_client.Metric]:
        """Return the samples, for the registry."""
        family = GaugeMetricFamily(self.name, self._about, labels=self.labels)
        for values, number in list(self._numbers.items()):
            family.add_metric(values, number)
        return [family]
