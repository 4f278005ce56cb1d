"""Errors of the simulated providers' pages."""

from app.core.i18n import gettext_noop
from app.web.errors import NotFound


class NoSuchSimulation(NotFound):
    slug = "no-such-simulation"
    title = gettext_noop("没有这次模拟认证")
    advice = gettext_noop("请重新发起认证。")
