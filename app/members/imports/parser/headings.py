"""The words that head the columns of rosters, and what each column is read as."""

from __future__ import annotations

import re
import unicodedata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

FIELDS = ("name", "phone", "unit", "party", "party-kind", "post", "number")
"""What a column can be read as, in the order of a row's texts."""
REQUIRED = ("name", "phone", "unit")
HEADINGS = dict(zip(FIELDS, ("姓名", "手机号码", "支部名称", "是否党员", "党员类型", "职务", "编号"), strict=True))
"""The heading of each field in the template."""

# The words of each field, the most definite first: a word of a later line counts only where none of an earlier one
# heads a column. The last lines of each have the words that the same sheet may also use for something else.
_WORDS: dict[str, tuple[str, ...]] = {
    "name": (
        "姓名",
        "名字 党员姓名 人员姓名 学员姓名 成员姓名 职工姓名 员工姓名 真实姓名 本人姓名 姓名全称",
        "name fullname membername staffname employeename personname",
    ),
    "phone": (
        "手机号码",
        "手机号 手机 移动电话 移动电话号码 手机电话 手机电话号码 本人手机 本人手机号 本人手机号码 党员手机号"
        " 党员手机号码 注册手机号 注册手机号码 移动电话号 手机联系方式",
        "联系电话 电话号码 电话 联系方式 联系手机 联系电话号码 本人电话 本人联系电话 phone phonenumber phoneno mobile"
        " mobileno mobilephone mobilenumber mobilephonenumber mobilephoneno cell cellno cellphone cellphonenumber"
        " telephone telephonenumber tel telno contactnumber contactno contactphone",
    ),
    "unit": (
        "支部名称",
        "支部 所在支部 所属支部 党支部 党支部名称 所在党支部 所属党支部 所在党支部名称 所属党支部名称 支部全称"
        " 党支部全称",
        "党组织 党组织名称 所在党组织 所属党组织 所在党组织名称 所属党组织名称 组织关系所在党支部 所在组织 所属组织"
        " 组织名称 学习组织 学习组织名称 所在学习组织",
        "部门 部门名称 所在部门 所属部门 单位 单位名称 所在单位 所属单位 工作单位 科室 处室 unit unitname branch"
        " branchname partybranch department dept organization organisation",
    ),
    "party": ("是否党员", "党员 是否为党员 是否中共党员 是否是党员 partymember", "政治面貌 政治面目 政治身份"),
    "party-kind": ("党员类型", "党员类别 党员身份 kindofpartymember", "人员类别"),
    "post": ("职务", "党内职务 支部职务 党支部职务 党组织职务 post", "行政职务 职位 岗位 工作岗位 职务名称"),
    "number": ("编号", "xuezunumber"),
}
SYNONYMS: dict[str, tuple[str, float]] = {
    word: (field, rank) for field, lines in _WORDS.items() for rank, line in enumerate(lines) for word in line.split()
}
"""The field and the rank of each word."""
# Words of which the same thing is said more closely: 常用手机号, 所属支部全称, 教师姓名. What is not in the list makes
# another thing of them: 紧急联系人电话, 曾用名, 填报单位.
_OF_PERSON = "本人|个人|党员|学员|成员|人员|员工|职工|教职工|教师|学生|干部|会员|用户|居民|村民"
_PHONE_USE = "常用|现用|登录|登陆|绑定|注册|预留|联系|微信|学习强国|强国|平台|有效|主要|移动"
_PLACE = "现|所在|所属|隶属|组织关系|任职|内设|工作|基层"
_NAMED = "(?:名称|全称|简称|名)?"
_PATTERNS: tuple[tuple[re.Pattern[str], str, float], ...] = tuple(
    (re.compile(pattern), field, rank)
    for field, rank, pattern in (
        ("name", 1.5, f"(?:{_OF_PERSON}|真实|中文)+(?:姓名|名字)(?:全称)?"),
        ("phone", 1.5, f"(?:{_OF_PERSON}|{_PHONE_USE})*手机(?:长号|联系电话|电话|联系方式)?(?:号码|号)?"),
        ("phone", 2.5, f"(?:{_OF_PERSON}|{_PHONE_USE})*(?:电话|联系方式)(?:号码|号)?"),
        ("unit", 1.5, f"(?:{_OF_PERSON}|{_PLACE})*党?支部{_NAMED}"),
        ("unit", 2.5, f"(?:{_OF_PERSON}|{_PLACE})*(?:党|学习)组织{_NAMED}"),
        ("unit", 3.5, f"(?:{_OF_PERSON}|{_PLACE})*(?:部门|单位|科室|处室|机构|车间|班组|组别){_NAMED}"),
        ("unit", 3.6, f"(?:{_OF_PERSON}|{_PLACE})*(?:党|学习)小?组{_NAMED}"),
        ("unit", 3.7, f"(?:{_OF_PERSON}|{_PLACE})*党总支(?:部)?{_NAMED}"),
        ("unit", 3.8, f"(?:{_OF_PERSON}|{_PLACE})*党委{_NAMED}"),
    )
)
LONGEST_HEADING = 50
# What an admin chose for the file comes before all words; what an admin chose earlier comes after the words of the
# template, and before all others.
_CHOSEN, _REMEMBERED, _LAST = -1, 0.5, 19
_LESS_DEFINITE = 4.0
_ADDITIONS = re.compile("[a-z0-9]+$|^[a-z0-9]+(?=[\u4e00-\u9fff])")
_NUMBER = re.compile("[0-9]{7,}")

_NOTES = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|【[^【】]*】|〔[^〔〕]*〕|〖[^〖〗]*〗|<[^<>]*>|「[^「」]*」")
_NUMBERING = re.compile(r"^[0-9一二三四五六七八九十]{1,3}[.、,:)）．-]+")
_REMARKS = re.compile(r"^(?:必填|选填)(?:项)?(?=.)|(?:必填|选填|必须填写|可选)(?:项)?$")
_BETWEEN_WORDS = re.compile("[/、,|和及或与]")


def normalize_heading(cell: Any) -> str:
    """Return the letters and digits of a heading, without numbering and remarks, in lower case.

    `★手机号码[必填]`, `【手机号码】` and `2.手机号码（本人）` are one heading.
    """
    if not isinstance(cell, str):
        return ""
    plain = "".join(letter for letter in cell[:200] if unicodedata.category(letter) not in {"No", "Cf", "Cc"})
    plain = unicodedata.normalize("NFKC", plain).strip()
    bare = _NOTES.sub("", plain)
    if not any(map(str.isalnum, bare)):  # the whole heading is in brackets
        bare = plain
    bare = _NUMBERING.sub("", "".join(bare.split()))
    words = ["".join(filter(str.isalnum, word)).lower() for word in _BETWEEN_WORDS.split(bare)]
    if len(words) > 1:
        found = [_look_up(word) for word in words]
        if len({field for field, _ in found}) == 1 and found[0][0]:  # 手机/联系电话: two words for one thing
            return min(zip(found, words, strict=True))[1]
    return _REMARKS.sub("", "".join(filter(str.isalnum, bare)).lower())


def find_word(key: str) -> tuple[str | None, float]:
    """Return the field of a normalized heading and its rank.

    A heading can have the word in two languages (姓名Name), or a number (手机号码1); then it is less definite.
    """
    field, rank = _look_up(key)
    if field is None:
        field, rank = _look_up(_ADDITIONS.sub("", key))
        rank += _LESS_DEFINITE
    return (field, rank) if field else (None, 0)


def _look_up(key: str) -> tuple[str | None, float]:
    """Return the field of a word and its rank."""
    if key in SYNONYMS:
        return SYNONYMS[key]
    found = ((field, rank) for pattern, field, rank in _PATTERNS if pattern.fullmatch(key))
    return next(found, (None, 0))


class Choices:
    """What an admin said of the columns: for this file (`chosen`: heading, column letter or None, field or None), and
    for an earlier file of the org (`remembered`: field or None by heading). `required` are the fields that a header
    must have."""

    def __init__(
        self,
        chosen: Sequence[Sequence[Any]] = (),
        remembered: Mapping[str, str | None] | None = None,
        required: Sequence[str] = REQUIRED,
    ) -> None:
        self.required = required
        self.chosen = {(key, column): field for key, column, field in chosen}
        self.remembered = remembered or {}

    def find_field(self, key: str, column: int) -> tuple[str | None, float]:
        """Return the field of a column and how definite it is; the lowest rank is the most definite."""
        for choice in ((key, get_letters(column)), (key, None)):
            if choice in self.chosen:
                return self.chosen[choice], _CHOSEN
        field, rank = find_word(key)
        if key not in self.remembered:
            return field, rank
        if self.remembered[key] is not None:
            return self.remembered[key], _REMEMBERED
        # Another column was read instead. Where there is none, a sheet needs this one.
        return (field, _LAST) if field in self.required else (None, 0)


class Columns:
    """The columns of a header row.

    `positions` has the column of each field that is read, `keys` the normalized headings, `tied` the columns that could
    each be the column of a field. Columns are counted from the first one of the sheet that is not empty; `left` are
    empty before it.
    """

    def __init__(self, cells: Sequence[Any], choices: Choices, left: int = 0) -> None:
        self.cells, self._left, self.required = cells, left, choices.required
        self.keys = [normalize_heading(cell) for cell in cells]
        found: dict[str, list[tuple[float, int]]] = {}
        for column, key in enumerate(self.keys):
            field, rank = choices.find_field(key, column + left) if key else (None, 0)
            if field is not None:
                found.setdefault(field, []).append((rank, column))
        self.positions: dict[str, int] = {}
        self.tied: dict[str, list[int]] = {}
        for field, candidates in found.items():
            best = [column for rank, column in candidates if rank == min(candidates)[0]]
            self.positions[field] = best[0]
            if len(best) > 1:
                self.tied[field] = best
        for field in self.tied:
            if field not in self.required:  # it is not known which column to read, so none is read
                del self.positions[field]

    def list_missing(self) -> list[str]:
        return [field for field in self.required if field not in self.positions]

    def describe(self, most: int = 60) -> list[dict[str, str | None]]:
        """Return the columns that are read, and those of the first `most` columns that have a heading, with their
        letters and the field that they are read as."""
        fields = {column: field for field, column in self.positions.items()}
        return [
            {
                "column": get_letters(column + self._left),
                "heading": _NUMBER.sub("…", str(cell).strip()[:LONGEST_HEADING]),  # it may be a person's
                "field": fields.get(column),
            }
            for column, cell in enumerate(self.cells)
            if self.keys[column] and (column < most or column in fields)
        ]


def get_letters(column: int) -> str:
    """Return the letters of a column: A, B, …, Z, AA."""
    return (get_letters(column // 26 - 1) if column >= 26 else "") + chr(ord("A") + column % 26)
