"""Errors of mergers."""

from typing import Self

from pydantic import BaseModel, Field

from app.core.i18n import gettext_noop
from app.web.errors import Conflict, Problem


class MergerIntoItself(Conflict):
    slug = "merger-into-itself"
    title = gettext_noop("不能并入自己")
    advice = gettext_noop("请填写另一个学习组织。")


class MergerOpen(Conflict):
    slug = "merger-open"
    title = gettext_noop("该组织已有待处理的合并申请")
    advice = gettext_noop("请等待对方处理，或先撤回。")


class MergerDecided(Conflict):
    slug = "merger-decided"
    title = gettext_noop("该合并申请已处理、撤回或失效")
    advice = gettext_noop("请刷新后查看处理结果。")


class MergerExpired(Problem):
    status, slug = 410, "merger-expired"
    title = gettext_noop("该申请已过期")
    advice = gettext_noop("请申请组织重新申请。")


class ClashingUnits(BaseModel):
    """The additional member of the problem: the names that units of both orgs have."""

    names: list[str] = Field(description="The names of the units of both.", examples=[["第一党支部"]])


class UnitNamesClash(Conflict):
    """Some units would move to a place in the receiving org (a unit or the org itself) where units with the same names
    exist already."""

    slug, extension = "unit-names-clash", ClashingUnits
    title = gettext_noop("两个组织有同名的支部")
    advice = gettext_noop("请将对方并入一个新支部，或先修改本组织中这些支部的名称。")

    @classmethod
    def of(cls, names: list[str]) -> Self:
        """Return the error with the names that units of both orgs have."""
        return cls(names=names)


class PhoneOfTwoAccounts(Conflict):
    """A phone is in the directories of both orgs, and the two member rows are linked to different accounts."""

    slug = "phone-of-two-accounts"
    title = gettext_noop("同一手机号码在两个组织中关联了不同的账号")
    advice = gettext_noop("请先由其中一个组织更正该人员的手机号码或解除关联，再办理合并。")
