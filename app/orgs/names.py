"""How an org may be named (S3): what is refused, what is only advised against, and a shorter proposal."""

from dataclasses import dataclass
from enum import StrEnum

from app.core.i18n import gettext
from app.core.text import has_unshowable
from app.orgs.errors import NameKindMismatch, NameSuffixTyped, NameUnshowable
from app.web.errors import Problem

SUFFIX = "学习管理组"
OUTSIDE_PARTY = "党外人士学习组织"
SHORT = 20


class Kind(StrEnum):
    """Whose org it is: of the party, or of people outside it."""

    PARTY = "party"
    OUTSIDE_PARTY = "outside_party"


@dataclass(frozen=True, slots=True)
class Advice:
    """Something a person may want to change and need not, in their language."""

    code: str
    title: str
    proposed_name: str | None = None


def errors_of(name: str, kind: Kind, kept: str | None = None) -> list[type[Problem]]:
    """What forbids the name. `kept` is the name the org has: a loaded legacy org keeps its suffix."""
    found: list[type[Problem]] = []
    if has_unshowable(name):
        found.append(NameUnshowable)
    if name.endswith(SUFFIX) and name != kept:
        found.append(NameSuffixTyped)
    says_outside = name.removesuffix(SUFFIX).endswith(OUTSIDE_PARTY)
    body = name.removesuffix(SUFFIX).removesuffix(OUTSIDE_PARTY)
    if says_outside is not (kind is Kind.OUTSIDE_PARTY) or not body:
        found.append(NameKindMismatch)
    return found


def advice_of(name: str) -> list[Advice]:
    """What is advised about a name that is allowed, as far as the name alone tells."""
    if len(name) <= SHORT:
        return []
    return [
        Advice("name-long", gettext("名称超过 {most} 字，建议适当简化。", most=SHORT), shorten(name)),
    ]


# As the FAQ's own example does it (中国石化集团南京化学工业有限公司党委), in order, until the name is short enough.
_SHORTER = (
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


def shorten(name: str) -> str | None:
    """A shorter form that keeps who it is, or None where none suggests itself."""
    shorter = name
    party_committee = shorter.endswith("委员会") and shorter.startswith(("中共", "中国共产党"))
    if party_committee:
        # 中共…公司委员会 is spoken of as …公司党委
        shorter = shorter.removeprefix("中国共产党").removeprefix("中共").removesuffix("委员会") + "党委"
    for long, short in _SHORTER:
        if len(shorter) <= SHORT:
            break
        shorter = shorter.replace(long, short)
    return shorter if len(shorter) < len(name) else None
