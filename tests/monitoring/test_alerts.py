"""The alert rules and the dashboard: Prometheus reads them, each alert can fire, and they name metrics that exist."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import app.audit_log.refusals
import app.auth.phone_codes.codes
import app.auth.rate_limits
import app.middleware.http_metrics
import app.monitoring.api_gauges
import app.monitoring.server
import app.monitoring.worker_gauges  # noqa: F401 — these modules define the metrics
from app.core.metrics import REGISTRY

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "monitoring" / "alerts.yml"
CASES = ROOT / "deploy" / "monitoring" / "alerts_test.yml"
DASHBOARD = ROOT / "deploy" / "monitoring" / "dashboard.json"
OPERATIONS = ROOT / "docs" / "OPERATIONS.md"

METRIC = re.compile(r"\b(?:xuezu|http|process)_[a-z0-9_]+\b")


def read_rules() -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    return rules


def list_metrics() -> set[str]:
    """Return the names of all series of this process."""
    names = set()
    for metric in REGISTRY.collect():
        names.add(metric.name)
        if metric.type == "counter":
            names.add(f"{metric.name}_total")
        if metric.type == "histogram":
            names |= {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}
    return names


@pytest.mark.skipif(
    shutil.which("promtool") is None and not os.environ.get("XUEZU_REQUIRE_PROMETHEUS"),
    reason="promtool (Debian: prometheus) is not installed",
)
def test_prometheus_reads_the_rules_and_each_alert_fires_when_it_must() -> None:
    for command in (["check", "rules", RULES.name], ["test", "rules", CASES.name]):
        done = subprocess.run(["promtool", *command], cwd=RULES.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    alerts = [rule["alert"] for rule in read_rules()]
    cases = [case["name"] for case in yaml.safe_load(CASES.read_text())["tests"]]
    assert sorted(cases) == sorted([*alerts, *(f"{alert} (not)" for alert in alerts)])


def test_rules_and_dashboard_name_metrics_that_exist() -> None:
    text = RULES.read_text() + DASHBOARD.read_text()
    assert set(METRIC.findall(text)) - list_metrics() == set()


def test_operations_say_what_to_do_at_each_alert() -> None:
    sections = re.findall(r"^### (Xuezu\w+)", OPERATIONS.read_text(), re.MULTILINE)
    assert sections == [rule["alert"] for rule in read_rules()]


def test_panels_of_the_dashboard_have_titles_and_queries() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len(panels) >= 10
    for panel in panels:
        assert panel["title"]
        assert all(target["expr"] for target in panel["targets"])
