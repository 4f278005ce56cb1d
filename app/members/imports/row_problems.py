"""The codes of what can be wrong with one row of a sheet, and of what is only worth knowing."""

from app.core.phones import REFUSALS as PHONE_REFUSALS
from app.members.names import REFUSALS as NAME_REFUSALS

UNIT_DEPTH = 6
UNIT_LONGEST = 100

# code: (Chinese, English)
PROBLEMS: dict[str, tuple[str, str]] = {
    **NAME_REFUSALS,
    **PHONE_REFUSALS,
    "unit-missing": ("缺少支部名称", "the unit is missing"),
    "unit-too-long": (f"支部名称超过 {UNIT_LONGEST} 个字符", f"a unit's name has more than {UNIT_LONGEST} characters"),
    "unit-too-deep": (f"支部层级超过 {UNIT_DEPTH} 级", f"units nest more than {UNIT_DEPTH} deep"),
    "unit-unshowable": ("支部名称含有控制字符或不可见字符", "the unit's name holds control or invisible characters"),
    "unit-formula": ("支部名称不能是公式", "a unit's name is no formula"),
    "unit-unknown": ("本组织没有这个支部", "the organisation has no such unit"),
    "unit-ambiguous": (
        "有多个同名支部,请写明上级,如“党总支/支部”",
        "several units have this name: write it as 党总支/支部",
    ),
    "party-unreadable": ("“是否党员”请填 是 或 否", "是否党员 is answered by 是 or 否"),
    "party-contradiction": ("同一手机号码的多行“是否党员”不一致", "rows of one phone number disagree about 是否党员"),
    "party-members-only": (
        "党组织的学习组织不能添加非党员,请加入所在单位的“党外人士学习组织”",
        "a party organisation takes party members only: others belong in a 党外人士学习组织",
    ),
    "phone-has-two-names": ("同一手机号码对应不同姓名", "one phone number stands with two names"),
    "other-row-refused": ("此人的另一行有错误,请一并修改", "another row of this person is refused: mend both"),
}
WARNINGS: dict[str, tuple[str, str]] = {
    "row-hidden": ("该行在表格中被隐藏", "the row is hidden in the sheet"),
    "row-repeated": ("与前面的行重复", "the row repeats an earlier one"),
}
