"""Characters that stand for another one: radicals, private-use code points, compatibility forms.

Each is replaced by the character that a reader sees, so that two texts that look the same are the same text.
"""

import unicodedata

# The CJK radicals supplement, by the first code point of each run: Unicode's property Equivalent_Unified_Ideograph.
# NFKC has the same for the Kangxi radicals, and only for two of these.
_RADICALS = {
    0x2E81: "厂乛乚乙亻冂𠘨刀刂卜㔾小尐兀尣尢𡯂巳幺彑彐忄心扌攵",
    0x2E9B: (
        "旡日月歺母民氵氺灬爫爬丬牛犭王𤴔目示礻𥫗糹纟罓罒㓁冗𦉫羊𦍌𦍋耂肀聿肉𦥑艹艺艻虎衤覀西见角𧢲讠贝𧾷车辶"
        "辷辸邑钅長镸长门𨸏阝雨青韦页风飞食𩙿飠饣𩠐马骨鬼鱼鸟卤麦黄黾斉齐歯齿竜龙龜亀龟"
    ),
}
# Code points for private use that GBK and GB 18030-2000 gave to characters without a code point of their own then (GB
# 18030-2022, annex D). Old systems and fonts still write them: U+E863 is 䶮.
_PRIVATE_USE = {
    0xE76C: "€",
    0xE78D: "︐︒︑︓︔︕︖︗︘︙",
    0xE7C7: "ḿǹ",
    0xE7E7: "〾⿰⿱⿲⿳⿴⿵⿶⿷⿸⿹⿺⿻",
    0xE815: (
        "厂𠂇𠂉𠃌乙㑳㑇刀㔾龴㖞㘚㘎小心㥮㤘龵㧏㧟㩳㧐龶龷㭎㱮㳠牛𡗗龸𤴔䁖䅟𥫗䌷㓁羊𦍌𢦏䎱䎬聿䏝䓖䙡䙌龹䜣䜩䝼"
        "䞍𧾷䥇䥺䥽䦂䦃䦅䦆䦟䦛䦷䦶龺𤇾䲣䲟䲠䲡䱷䲢䴓䴔䴕䴖䴗䴘䴙䶮龻"
    ),
}


def _list_pairs(runs: dict[int, str]) -> dict[int, str]:
    return {first + number: character for first, run in runs.items() for number, character in enumerate(run)}


DOUBLES = {
    **{code: unicodedata.normalize("NFKC", chr(code)) for code in range(0x2F00, 0x2FD6)},
    **_list_pairs(_RADICALS),
    **_list_pairs(_PRIVATE_USE),
}
"""The real character of each radical and of each private-use code point that has one."""

# Forms of width and of vertical text. Punctuation of full width is what a Chinese text is written with, and a slash of
# full width is no separator of units.
_FORMS = (*range(0xFE30, 0xFE70), *range(0xFF01, 0xFFA0), *range(0xFFE0, 0xFFEF))
_PUNCTUATION = {ord(mark) for mark in "！，：；？～／"}
WIDTHS = {
    code: plain
    for code in _FORMS
    if code not in _PUNCTUATION and len(plain := unicodedata.normalize("NFKC", chr(code))) == 1 and plain != chr(code)
}
"""The plain character of each full-width, half-width, small and vertical form."""


def replace_doubles(text: str) -> str:
    """Return the text in NFC, with the real characters in place of radicals and private-use code points."""
    return unicodedata.normalize("NFC", text.translate(DOUBLES))
