"""The rules for names of orgs (S3): errors, advice, and a proposal of a shorter name."""

from dataclasses import dataclass
from enum import StrEnum

from app.core.i18n import gettext
from app.core.text import has_unshowable
from app.orgs.errors import NameKindMismatch, NameSuffixTyped, NameUnshowable
from app.web.errors import Problem

SUFFIX = "学习管理组"
OUTSIDE_PARTY = "党外人士学习组织"
LONGEST_SHORT_NAME = 20
"""Characters up to which a name counts as short."""


class Kind(StrEnum):
    """An org of the party, or an org of people outside the party."""

    PARTY = "party"
    OUTSIDE_PARTY = "outside_party"


@dataclass(frozen=True, slots=True)
class Advice:
    """A hint to the user, in the request's language. The user may ignore it."""

    code: str
    title: str
    proposed_name: str | None = None


def list_name_errors(name: str, kind: Kind, present_name: str | None = None) -> list[type[Problem]]:
    """Return the errors that forbid the name; an empty list if it is allowed.

    `present_name` is the org's name before the change. Orgs loaded from the old system may have the suffix, so an
    unchanged name is allowed with its suffix.
    """
    found: list[type[Problem]] = []
    if has_unshowable(name):
        found.append(NameUnshowable)
    if name.endswith(SUFFIX) and name != present_name:
        found.append(NameSuffixTyped)
    is_outside_party = name.removesuffix(SUFFIX).endswith(OUTSIDE_PARTY)
    body = name.removesuffix(SUFFIX).removesuffix(OUTSIDE_PARTY)
    if is_outside_party is not (kind is Kind.OUTSIDE_PARTY) or not body:
        found.append(NameKindMismatch)
    return found


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
