"""The rules for names of orgs (S3): errors, advice, and a proposal of a shorter name."""

import re
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from app.core.i18n import gettext
from app.core.names import make_name_key
from app.core.text import contains_refused_characters
from app.orgs.errors import NameKindMismatch, NameSuffixTyped, NameUnshowable
from app.web.errors import Problem

SUFFIX = "学习管理组"
OUTSIDE_PARTY = "党外人士学习组织"
LONGEST_SHORT_NAME = 20
"""Characters up to which a name counts as short."""
LONGEST_BARE_NAME = 5
"""Characters up to which a name hardly says whose org it is."""


class Kind(StrEnum):
    """An org of the party, or an org of people outside the party."""

    PARTY = "party"
    OUTSIDE_PARTY = "outside-party"


@dataclass(frozen=True, slots=True)
class Advice:
    """A hint to the user, in the request's language. The user may ignore it."""

    code: str
    title: str
    proposed_name: str | None = None
    org_id: UUID | None = None


def list_name_errors(name: str, kind: Kind, present_name: str | None = None) -> list[type[Problem]]:
    """Return the errors that forbid the name; an empty list if it is allowed.

    `present_name` is the org's name before the change. Orgs loaded from the old system may have the suffix, so an
    unchanged name is allowed with its suffix.
    """
    found: list[type[Problem]] = []
    if contains_refused_characters(name):
        found.append(NameUnshowable)
    seen = _list_characters(name)
    if seen.endswith(SUFFIX) and (present_name is None or make_name_key(name) != make_name_key(present_name)):
        found.append(NameSuffixTyped)
    body = seen.removesuffix(SUFFIX)
    is_outside_party = body.endswith(OUTSIDE_PARTY)
    if is_outside_party is not (kind is Kind.OUTSIDE_PARTY) or not body.removesuffix(OUTSIDE_PARTY):
        found.append(NameKindMismatch)
    return found


_SIMPLIFIED = str.maketrans("學習組織黨", "学习组织党")


def _list_characters(name: str) -> str:
    """Return what a reader takes the name for: its characters without brackets, blanks and stops, simplified where the
    rules look at them."""
    return "".join(filter(str.isalnum, make_name_key(name))).translate(_SIMPLIFIED)


_BARE_BRANCH = re.compile(
    "(机关|离退休|老干部|职工|党员)*第?[0-9一二三四五六七八九十百]*(联合|临时)?(党支部|党总支|支部|总支|党委|党组)(委员会)?"
)


def list_shortness_advice(name: str) -> list[Advice]:
    """Return advice to type the full name if an org cannot be recognised by the name: 一支部, 张三."""
    seen = _list_characters(name)
    if len(seen) > LONGEST_BARE_NAME and not _BARE_BRANCH.fullmatch(seen):
        return []
    title = gettext(
        "名称过短，难以辨认是哪个组织：请填写党组织全称，如“中共南京市玄武区委员会”；简称只用于组织内的支部。"
    )
    return [Advice("name-short", title)]


def list_length_advice(name: str) -> list[Advice]:
    """Return advice to shorten the name if it is long; otherwise an empty list."""
    if len(name) <= LONGEST_SHORT_NAME:
        return []
    title = gettext("名称超过 {most} 字，建议适当简化。", most=LONGEST_SHORT_NAME)
    return [Advice("name-long", title, shorten_name(name))]


# Replacements in the manner of the FAQ's example (中国石化集团南京化学工业有限公司党委). They apply in this order until
# the name is short enough.
_ABBREVIATIONS = (
    ("中国共产党", "中共"),
    ("委员会", "委"),
    ("有限责任公司", "有限公司"),
    ("股份有限公司", "公司"),
    ("有限公司", "公司"),
    ("中国石油化工", "中国石化"),
    ("中国石油天然气", "中国石油"),
    ("维吾尔自治区", ""),
    ("壮族自治区", ""),
    ("回族自治区", ""),
    ("自治区", ""),
    ("人民政府", "政府"),
    ("工作", ""),
)


def shorten_name(name: str) -> str | None:
    """Return a shorter form that still identifies the org, or None if there is none."""
    shorter = name
    party_committee = shorter.endswith("委员会") and shorter.startswith(("中共", "中国共产党"))
    if party_committee:
        # The common short form of 中共…公司委员会 is …公司党委.
        shorter = shorter.removeprefix("中国共产党").removeprefix("中共").removesuffix("委员会") + "党委"
    for long, short in _ABBREVIATIONS:
        if len(shorter) <= LONGEST_SHORT_NAME:
            break
        shorter = shorter.replace(long, short)
    return shorter if len(shorter) < len(name) else None
