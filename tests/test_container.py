"""The Dockerfile names existing files. `.ci/image` builds the image, which takes too long for a test."""

import json
import re
from ipaddress import ip_address, ip_network
from typing import Any

import yaml

from app.core.settings import Environment
from tests.processes import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()


STAGES = {stage.split()[3]: stage for stage in re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)[1:]}


def copied_into(target: str) -> set[str]:
    """Return the paths of the checkout that reach a target through its stages."""
    found: set[str] = set()
    for line in STAGES[target].splitlines():
        word, *rest = line.split() or [""]
        if word == "FROM" and rest[0] in STAGES:
            found |= copied_into(rest[0])
        elif word == "COPY" and rest[0].startswith("--from="):
            found |= copied_into(rest[0].removeprefix("--from="))
        elif word == "COPY":
            found |= set(rest[:-1])
    return found


def test_files_that_the_image_copies_exist_and_reach_it() -> None:
    unignored = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    copied = copied_into("development") | copied_into("production")
    assert {"app", "migrations", "alembic.ini", "requirements.lock", "pyproject.toml"} <= copied == unignored
    assert all((ROOT / name).exists() for name in copied)


def test_default_image_has_no_development_tools() -> None:
    assert list(STAGES)[-1] == "production"
    assert copied_into("development") - copied_into("production") == {"devtools", "requirements-run.lock"}


def test_image_is_pinned_unprivileged_and_checks_its_readiness() -> None:
    assert "--require-hashes" in DOCKERFILE
    bases = re.findall(r"^FROM (python\S+)", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11-slim@sha256:[0-9a-f]{64}", bases[0])
    assert re.search(r"^USER [1-9]\d*$", DOCKERFILE, re.MULTILINE)
    (health,) = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    python, option, code = json.loads(health)
    compile(code, "HEALTHCHECK", "exec")
    assert (python, option) == ("python", "-c")
    assert "/readyz" in code


def test_compose_file_starts_existing_commands() -> None:
    from app.cli import cli

    commands = {command.name or getattr(command.callback, "__name__", "") for command in cli.registered_commands}
    compose: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    services = compose["services"]
    assert re.fullmatch(r"postgres:18@sha256:[0-9a-f]{64}", services["database"]["image"])
    assert services["api"]["build"]["target"] == "${XUEZU_ENV:-development}"
    assert {member.value for member in Environment} <= set(STAGES)
    environment = services["api"]["environment"]
    network = ip_network(compose["networks"]["default"]["ipam"]["config"][0]["subnet"])
    proxy = re.fullmatch(r"\$\{XUEZU_TRUSTED_PROXIES-(.+)\}", environment["XUEZU_TRUSTED_PROXIES"])
    assert proxy is not None
    assert proxy[1] == compose["networks"]["default"]["ipam"]["config"][0]["gateway"]
    assert ip_address(proxy[1]) in network
    assert services["api"]["ports"] == ["127.0.0.1:8000:8000"]  # published to others, the gateway could be anyone
    for name in ("migrate", "worker"):
        program, command = services[name]["command"]
        assert program == "xuezu"
        assert command in commands
    for name in ("api", "worker"):
        assert services[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
