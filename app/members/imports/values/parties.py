"""Party membership as clerks write it: under 是否党员, 政治面貌 or 党员类型."""

import re
import unicodedata
from typing import NamedTuple

_PROBATIONARY = (
    "预备党员",
    "中共预备党员",
    "中国共产党预备党员",
    "预备",
    "预备期",
    "预备期党员",
    "probationary party member",
)
_FULL = (
    "正式党员",
    "中共正式党员",
    "中国共产党正式党员",
    "正式",
    "中共正式",
    "full party member",
)
_YES = (
    "是",
    "有",
    "党员",
    "中共",
    "中共党员",
    "中国共产党党员",
    "共产党员",
    "在职党员",
    "退休党员",
    "离退休党员",
    "离休党员",
    "流动党员",
    "老党员",
    "农村党员",
    "学生党员",
    "y",
    "yes",
    "true",
    "1",
    "√",
    "✓",
    "✔",
    "☑",
    "对",
)
_OTHERS = (
    "群众",
    "普通群众",
    "积极分子",
    "入党积极分子",
    "发展对象",
    "入党申请人",
    "入党申请者",
    "申请入党",
    "递交入党申请书",
    "已递交入党申请书",
    "未入党",
    "居民",
    "普通居民",
    "村民",
    "其他",
    "其他党派",
    "民主人士",
    "党外人士",
    "党外",
    "团员",
    "共青团员",
    "共青团",
    "无党派",
    "无党派人士",
    "无党派民主人士",
    "民主党派",
    "民主党派人士",
    "民革",
    "民革党员",
    "民革会员",
    "民盟",
    "民盟盟员",
    "民建",
    "民建会员",
    "民进",
    "民进会员",
    "农工党",
    "农工党党员",
    "农工民主党",
    "致公党",
    "致公党党员",
    "九三",
    "九三学社",
    "九三学社社员",
    "台盟",
    "台盟盟员",
    "少先队员",
    "港澳同胞",
    "非中共党员",
)
_NO = (
    "否",
    "无",
    "不是",
    "没有",
    "非党员",
    "非",
    "n",
    "no",
    "false",
    "0",
    "×",
    "✗",
    "✘",
    "x",
    "outside the party",
    *_OTHERS,
)
# What the answers say: in the party, and probationary. Under 是否党员 a plain yes says nothing of the second.
_ANSWERS: dict[str, tuple[bool, bool | None]] = {
    **dict.fromkeys(_YES, (True, None)),
    **dict.fromkeys(_FULL, (True, False)),
    **dict.fromkeys(_PROBATIONARY, (True, True)),
    **dict.fromkeys(_NO, (False, None)),
}
_KINDS: dict[str, tuple[bool, bool | None]] = {
    **dict.fromkeys((*_FULL, "党员", "中共党员"), (True, False)),
    **dict.fromkeys(_PROBATIONARY, (True, True)),
    **dict.fromkeys(("非党员", "非", "outside the party", *_OTHERS), (False, False)),
}
_EMPTY = frozenset(("", "/", "-", "—", "——", "--"))
# A remark in brackets may not say the contrary: 中共党员(在职), 群众(入党积极分子), but not 党员(群众).
_REMARK = re.compile(r"(.+?)\((.+)\)")


class PartyValue(NamedTuple):
    """The party flag and the probationary flag; None is what the row does not say."""

    party: bool | None
    probationary: bool | None
    problems: tuple[str, ...] = ()


_NOTHING_SAID = PartyValue(None, None)


def read_party(answer: str, kind: str) -> PartyValue:
    """Return what the two cells of a row say, with the codes of problems."""
    if not answer and not kind:
        return _NOTHING_SAID
    problems: list[str] = []
    said = _look_up(_ANSWERS, answer)
    of_kind = _look_up(_KINDS, kind)
    if said is None:
        problems.append("party-unreadable")
    if of_kind is None:
        problems.append("party-kind-unreadable")
    party, probationary = said or (None, None)
    party_kind, probationary_kind = of_kind or (None, None)
    if (None not in (party, party_kind) and party != party_kind) or (
        None not in (probationary, probationary_kind) and probationary != probationary_kind
    ):
        problems.append("party-kind-contradiction")
    return PartyValue(
        party_kind if party is None else party,
        probationary if probationary_kind is None else probationary_kind,
        tuple(problems),
    )


def _look_up(answers: dict[str, tuple[bool, bool | None]], text: str) -> tuple[bool | None, bool | None] | None:
    plain = "".join(unicodedata.normalize("NFKC", text).split()) if not text.isascii() else text.strip()
    plain = plain.lower()
    if plain in _EMPTY:
        return None, None
    if plain in answers or not (remarked := _REMARK.fullmatch(plain)):
        return answers.get(plain)
    said, more = answers.get(remarked[1]), _ANSWERS.get(remarked[2], (None, None))
    if said is None or (None not in (said[0], more[0]) and said[0] != more[0]):
        return None
    return said if more[1] is None or more[0] is None else more
