"""The service without the development tools, as in the production image."""

import sys

import pytest

from app import cli
from app.core.settings import CannotStart, Environment, Provider, Settings
from app.main import create_app


@pytest.fixture
def _without_devtools(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "devtools"]:
        monkeypatch.delitem(sys.modules, name)
    # An import of `None` in sys.modules raises the same error as an absent package.
    monkeypatch.setitem(sys.modules, "devtools", None)


@pytest.mark.usefixtures("_without_devtools")
def test_production_without_devtools_starts(settings: Settings) -> None:
    none = {"env": Environment.PRODUCTION, "sms_provider": Provider.NONE, "identity_provider": Provider.NONE}
    create_app(settings.model_copy(update=none))


@pytest.mark.usefixtures("_without_devtools")
@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"env": Environment.DEVELOPMENT}, "XUEZU_ENV=development"),
        ({"env": Environment.PRODUCTION, "sms_provider": Provider.SIMULATED}, "XUEZU_SMS_PROVIDER=simulated"),
        ({"env": Environment.PRODUCTION, "identity_provider": Provider.SIMULATED}, "XUEZU_IDENTITY_PROVIDER=simulated"),
    ],
)
def test_setting_that_needs_absent_devtools_is_refused(
    changed: dict[str, object], named: str, settings: Settings
) -> None:
    none = {"sms_provider": Provider.NONE, "identity_provider": Provider.NONE}
    with pytest.raises(CannotStart, match=rf"^{named} needs the development tools, and devtools\S* is not installed"):
        create_app(settings.model_copy(update=none | changed))


@pytest.mark.usefixtures("_without_devtools")
def test_demo_without_devtools_is_refused() -> None:
    with pytest.raises(CannotStart, match=r"^`xuezu demo` needs the development tools"):
        cli.cli(["demo"], standalone_mode=False)
