"""The files of deploy/ and compose.production.yaml: they pass every setting and take every privilege away."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli import cli
from app.commands.configuration import read_service_settings
from app.core.settings import Settings, list_secrets, make_key
from app.identity.providers.settings import ALL as IDENTITY_SETTINGS
from app.provider_calls.settings import list_variables
from app.sms.providers.settings import ALL as SMS_SETTINGS
from tests.processes import ROOT

SETTINGS_FILE = (ROOT / "deploy" / "xuezu.env").read_text()
SET = dict(re.findall(r"^(XUEZU_\w+)=(.*)$", SETTINGS_FILE, re.MULTILINE))
NAMED = re.findall(r"^#?(XUEZU_\w+)=", SETTINGS_FILE, re.MULTILINE)
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
MANIFEST: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "deploy/kubernetes/xuezu.yaml").read_text()))
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.production.yaml").read_text())
COMMANDS = {command.name or getattr(command.callback, "__name__", "") for command in cli.registered_commands}
PODS = {
    found["metadata"]["name"]: found["spec"]["template"]["spec"]
    for found in MANIFEST
    if "template" in found.get("spec", {})
}
FILES = {content for name, content in SET.items() if name.endswith("_FILE")}


def test_file_of_settings_names_every_setting() -> None:
    secrets = {f"XUEZU_{name.upper()}" for name in list_secrets(Settings)}
    expected = {f"XUEZU_{name.upper()}" for name in Settings.model_fields}
    for kind in (*SMS_SETTINGS, *IDENTITY_SETTINGS):
        names = dict(zip(kind.model_fields, list_variables(kind), strict=True))
        secrets |= {names[name] for name in list_secrets(kind)}
        expected |= set(names.values())
    assert len(NAMED) == len(set(NAMED))
    named = {name.removesuffix("_FILE") for name in NAMED}
    assert expected - named == set(), "name these settings in deploy/xuezu.env"
    assert {name for name in NAMED if name in secrets} == {"XUEZU_DATABASE_URL"}, "a secret belongs into a file"


def test_service_starts_in_production_with_the_file_of_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("XUEZU_")]:
        monkeypatch.delenv(name)
    for name, value in SET.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for name in FILES:
        (tmp_path / name).write_text(f"k:{make_key()}" if "data-keys" in name else make_key())
    settings = read_service_settings()
    assert not settings.development
    assert settings.session_url.startswith("postgresql://xuezu:")


# systemd


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_unit_is_hardened_and_limited(unit: Path) -> None:
    text = unit.read_text()
    (command,) = re.findall(r"^ExecStart=/opt/xuezu/\.venv/bin/xuezu ([a-z]+)", text, re.MULTILINE)
    assert command in COMMANDS
    for line in (
        *("EnvironmentFile=/etc/xuezu/xuezu.env", "LoadCredential=xuezu:/etc/xuezu/secrets", "DynamicUser=yes"),
        *("NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict"),
    ):
        assert f"\n{line}\n" in text
    assert re.search(r"^MemoryMax=\d+G$", text, re.MULTILINE)
    assert re.search(r"^TasksMax=\d+$", text, re.MULTILINE)
    assert ("Type=notify" in text) == ("WatchdogSec=" in text) == (command != "migrate")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_accepts_the_unit_and_finds_little_exposed(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/xuezu/.venv/bin/xuezu", "/bin/true"))
    for arguments in (("verify", "--man=no"), ("security", "--offline=yes", "--threshold=25")):
        done = subprocess.run(
            ["systemd-analyze", *arguments, str(copy)], capture_output=True, text=True, timeout=60, check=False
        )
        complaints = [line for line in done.stderr.splitlines() if unit.name in line]
        assert (done.returncode, complaints) == (0, []), done.stdout + done.stderr


# Kubernetes


@pytest.mark.parametrize("name", PODS)
def test_pod_is_restricted_limited_and_gets_all_settings(name: str) -> None:
    pod = PODS[name]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    assert container["args"][0] == "xuezu"
    assert container["args"][1] in COMMANDS
    assert container["envFrom"] == [{"configMapRef": {"name": "xuezu"}}]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert container["env"] == [{"name": "CREDENTIALS_DIRECTORY", "value": mounts["secrets"]}]
    assert {volume["name"] for volume in pod["volumes"]} == set(mounts)


def test_probes_ask_the_service_and_selectors_match() -> None:
    (container,) = PODS["xuezu-api"]["containers"]
    probes = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert probes == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
    for found in MANIFEST:
        if found["kind"] == "Deployment":
            labels = found["spec"]["template"]["metadata"]["labels"]
            assert found["spec"]["selector"]["matchLabels"] == labels
    assert all(found["kind"] == "Namespace" or found["metadata"]["namespace"] == "xuezu" for found in MANIFEST)


# Compose


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_compose_service_is_hardened_and_limited(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["user"] not in ("root", "0")
    if name == "database":
        assert re.fullmatch(r"postgres:18@sha256:[0-9a-f]{64}", service["image"])
        assert service["image"] in (ROOT / "compose.yaml").read_text()
        return
    assert service["command"][1] in COMMANDS
    assert service["env_file"] == ["xuezu.env"]
    assert service["environment"]["CREDENTIALS_DIRECTORY"] == "/run/secrets"
    assert set(service["secrets"]) == FILES <= set(COMPOSE["secrets"])
