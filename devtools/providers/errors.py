"""What the simulated providers' pages answer."""

from app.web.errors import NotFound


class NoSuchSimulation(NotFound):
    slug = "no-such-simulation"
    zh, en = "没有这次模拟认证", "No such simulated verification"
    advice_zh, advice_en = "请重新发起认证。", "Begin a new verification."
