"""Characters with several readings, and the other ways to spell what a user has typed in pinyin.

A name is stored with one spelling: 王晟 as `wangsheng`. A user who reads 晟 as chéng types `wangcheng`. The search
then also tries `wangsheng`, among the names with a 晟.
"""

import re
from functools import lru_cache
from typing import NamedTuple

# The readings without tones, then the characters that have them: those of the Table of General Standard Chinese
# Characters (Unihan, kTGHZ2013), of surnames, and of some names; for ü the spellings v, yu and u.
_READINGS = (
    "a/e:阿 a/sha:嗄 a/ya:吖 a/yan:腌 ai/e:欸 ai/yi:嗌艾 an/han:犴 ao/niu:拗 ao/yu:薁 ba/bo:鲌 ba/pa:扒耙 "
    "bai/bo:伯擘柏 bang/bei:棓 bang/beng:蚌 bang/pang:磅膀 bang/peng:搒 bao/bo:剥薄 bao/bu/pu:堡 bao/pao:刨炮 "
    "bao/pu:曝瀑 bei/bi:臂 bei/pei:𬇙 bei/pi:陂 ben/bi:賁 ben/fen:坋 bi/bie:咇 bi/fei:費费 bi/mi:泌秘 bi/pi:芘辟 "
    "bian/pian:便扁 biao/piao:蔈骠 bie/qie:癿 bin/bing:槟 bin/fen:玢 bing/ping:屏 bo/bu:卜 bo/fan:蕃 bo/fu:艴 "
    "bo/po:桲泊 bu/pu:埔 bu/rou:𫐓 ca/cha:嚓 can/cen/shen:参 can/chan:孱掺 cang/zang:藏 cen/chen/qin:梣 "
    "ceng/zeng:曾 cha/chai/ci:差 cha/sha:刹 cha/zha:喳查馇 chan/dan/shan:单單 chan/shan:禅 chan/tan:镡 "
    "chang/yang:玚 chang/zhang:長长 chao/chuo:绰 chao/zhao:朝 che/chi:尺 che/ju:車车 chen/cheng:称 chen/lin:𬘭 "
    "chen/shen:棽諶谌 cheng/dang:铛 cheng/deng:澄 cheng/sheng:晟盛 chi/di:坻 chi/shi:匙豉 chi/xi:郗 "
    "chong/shuang/zhuang:漴 chong/tang:埫 chong/yong:涌 chong/zhong:种種重 chou/dao:帱 chou/niu:杻 chou/qiu:仇 "
    "chou/xiu:臭 chou/zhou:婤 chu/xu:畜 chu/zhe:褚 chu/zhu:柷 chua/xu:欻 chuai/chuo:啜 chuai/zuo:嘬 chuan/chui:圌 "
    "chuan/zhuan:传 chuang/zhuang:幢 chui/zhui:椎 chuo/ruo:婼 ci/ji:堲 ci/si:伺 ci/zi:兹茈 cong/zong:枞 cu/zu:卒 "
    "cu/zuo:酢 cuan/zan:攒 cuo/zan:酂 cuo/zuo:撮 da/dai:大 da/ta:沓溚阘鿎 dai/tai:骀 dan/shan:膻 dan/shi:石 "
    "dan/tan:弹澹 dao/tao:叨焘 de/dei:嘚得 de/di:地的 di/ti:提 di/zhai:翟 di/zhi:茋 dia/die:嗲 diao/tiao:调 "
    "diao/yao:铫 die/ti:䏲 die/ye:楪 die/zha:喋 ding/ting:町铤 dong/tong:垌峒洞 dou/du:读都 dou/tou:钭 du/duo:度 "
    "du/she:阇 du/zhou:碡 dui/dun:镦 dun/shun:楯 dun/tun:囤 dun/zhuan:沌 duo/tuo:柁驮 e/o:哦 e/wu:恶 e/yan:阏 "
    "e/ye:堨 er/nai:佴耏 fan/pan:番 fan/po:繁 fei/fu:芾 fo/fu:佛 fou/pi:否 fu/mi:宓 fu/pu:脯 ga/jia:夹戛 "
    "ga/jia/qie:伽 ga/ka:咖 ga/xia:呷 gai/ge:盖蓋 gai/jie:芥 gai/qi:𬮿 gan/han:扞虷 gang/kang:扛 gang/zhuang:戆 "
    "ge/ha:蛤 ge/he:合纥 ge/ka/lo/luo:咯 ge/le:饹 ge/li:鬲 gei/ji:给 geng/jing:颈 gong/hong:唝硔 gong/long:𬕂 "
    "gou/ju:句枸 gu/gua:呱 gu/hu:鹄鹘 gu/jia:賈贾 gua/guo:聒 gua/wa:坬 guan/lun:纶 guan/wan:莞 gui/hui:桧 "
    "gui/jiong:炅 gui/jiu:氿 gui/ju:柜 gui/jun/qiu:龟 gui/kui:傀 gui/que:炔 gui/wei:廆 guo/wo:涡 hai/huan:还 "
    "hai/ke:咳 han/kan:阚 hang/heng:珩 hang/heng/xing:行 hang/keng:吭 hang/xiang:巷 hao/he:貉 hao/shi:郝 he/hei:黑 "
    "he/hu:核隺 he/hu/huo:和 he/xia:吓 hong/jiang:虹 hu/xu:浒 hua/huo:砉 huan/xuan:嬛 huan/xun:郇 huan/yuan:圜 "
    "hui/hun:珲 hui/kuai:会 hui/kui:溃 hui/wei:硊𬭬 hui/yue:哕 hun/min:碈 ji/jie:藉诘 ji/qi:亟奇期缉荠 ji/xi:系 "
    "ji/yi:㴔 ji/zhai:祭 jia/jie:价 jia/qia:袷 jia/qie:茄 jia/xia:叚 jian/kan:槛 jian/qian:犍 jian/xian:见 "
    "jiang/qiang:強强 jiang/xiang:降 jiao/jue:嚼觉角 jiao/qiao:峤 jiao/qiu:湫 jiao/xiao:校 jiao/yao:侥 jie/ju:桔 "
    "jie/kai:楷 jie/xie:絜解颉 jin/jing:劲 jing/liang:靓 ju/qie:趄 ju/qu:岨瞿苣 ju/zu:菹 ju/zui:咀 juan/quan:圈 "
    "jue/xue:噱 jun/qu:焌 jun/qun:麇 jun/sui/suo:葰 jun/xun:浚 jun/yun:筠 ka/qia:卡 ke/kei:剋 ke/qiao:壳 ken/yin:龈 "
    "kui/wei:隗 la/lao/luo:落 lang/liang:莨 lao/liao:橑潦 lao/luo:烙络 le/lei:勒肋 le/liao:了 le/yue:乐樂 "
    "leng/ling:棱 li/lian:浰 li/lie:峛 li/xi:釐 li/yue:栎 lia/liang:俩 lian/qian:磏 liu/lu:碌陆 long/nong:弄 "
    "long/shuang:泷 lou/lu:露 lou/lu/lv/lyu:偻𦝼 lu/luo/lv/lyu:捋 "
    "lu/lv/lyu:侣吕垏屡履律旅梠榈氯滤稆绿缕膂葎虑褛铝闾驴 lu/lv/lyu/shuai:率 lue/lve/lyue:䂮圙掠略锊 ma/mai:唛 "
    "ma/mo:嬷抹摩 ma/zi:孖 mai/man:埋 mai/mo:脉 man/wan:蔓 mang/pang:厖 mei/mi:糜 mei/mo:没 men/qi:呇 mi/ming:蓂 "
    "miao/miu/mou:繆缪 mie/nie:乜 mo/mu:模 mo/wan:万萬 mo/wu:无 mou/mu:牟 na/nan:南 na/ne:哪 na/nuo:娜那𦰡 ne/ni:呢 "
    "nian/zhan:粘辗 niao/sui:尿 nu/nv/nyu:女恧衄钕 nue/nve/nyue:虐 nue/nve/nyue/yao:疟 o/wo:喔 ou/qu:区區𫭟 "
    "pai/po:迫 pan/pang:胖 peng/ping:淜 piao/po/pu:朴 qi/qing:綮 qi/se:洓 qi/si:俟 qi/xi:蹊 qi/yi:欹 qian/qie:慊 "
    "qian/xi:茜 qian/xian:孅纤 qian/xun:荨 qian/yan:铅 qiao/que:雀 qiao/shao:鞘 qie/xi:郄 qin/qing:亲 qin/tan:覃 "
    "qiong/xiong:芎 qiu/you:蝤 qu/xu:戌 quan/xuan:券 ren/shen:葚 sa/suo:挲 sai/se:塞 san/shen:糁 se/shai:色 "
    "sha/shan:杉 sha/suo:莎 sha/xia:厦 shai/shi:酾 shan/yan:掞烻 shan/zha:栅 shan/zhan:嶦 shao/xiao:蛸 shao/zhao:召 "
    "she/shi:拾 she/xie/ye:叶 she/yu:畬 she/zhe:折 shei/shui:谁 shen/shi:什 shen/xin:莘 sheng/xing:省 shi/si:似 "
    "shi/xu:嘘 shi/zhi:峙殖氏识 shou/shu:熟 shu/shuo:数 shu/yu:俞 shu/zhu:术 shui/shuo:说 su/suo:缩 su/xiu:宿 "
    "ta/tuo:拓铊 tang/xing:饧 te/teng:螣 te/tui:忒 ti/xi:裼 ti/yi:荑 tian/zhen:瑱 tong/zhong:穜 tui/tun:褪 "
    "tuo/yu:圫 wan/yuan:妧 wang/you:尢 wei/xu:圩 wei/yi:尾 wei/yu:尉蔚 wo/yuan:涴 wu/yu:峿於 xi/xian:洗 xian/yin:硍 "
    "xiao/xue:削 xiao/yao:滧 xie/xue:血 xie/ye:葉 xing/ying:荥 xu/yu:吁 xun/yin:窨 ya/zha:轧 yan/ye:咽 yan/yin:殷 "
    "yan/yuan:芫 yao/you:繇 yao/yue:约钥 yong/yu:喁 yu/yun:熨 yuan/yun:员員貟贠 za/zan:拶 za/ze/zha:咋 za/zha:扎 "
    "zai/zi:仔 zang/zhuang:奘 ze/zhai:择 ze/zuo:笮 zeng/zong:综 zha/zuo:柞 zhai/zhi:豸 zhao/zhe/zhuo:着 "
    "zhao/zhou:啁 zhao/zhua:爪 zheng/zhi:徵 zhi/zi:吱 zhu/zhuo:著 zhuo/zuo:琢 "
)
_SYLLABLE = re.compile(
    "(?:[zcs]h|[bpmfdtnlgkhjqxrzcsyw])?"
    "(?:iang|iong|uang|[aeio]ng|ian|iao|uai|[uv]an|yue?|[ae]i|ao|ou|[aeiu]n|i[aeu]|u[aeio]|ve|er|[aeiouv])"
)


def _group_by_first_letter() -> dict[str, dict[str, dict[str, str]]]:
    """Return the other readings of the characters of each reading, by the first letter of that reading and by that
    reading."""
    groups: dict[str, dict[str, dict[str, str]]] = {}
    for word in "".join(_READINGS).split():
        readings, characters = word.split(":")
        for reading in readings.split("/"):
            others = groups.setdefault(reading[0], {}).setdefault(reading, {})
            for other in readings.split("/"):
                if other != reading:
                    others[other] = others.get(other, "") + characters
    return groups


_GROUPS = _group_by_first_letter()


class Variants(NamedTuple):
    """The other spellings of typed letters, and the characters that these spellings can mean. A name that matches has
    one of these characters."""

    spellings: list[str]
    characters: list[str]


@lru_cache(maxsize=1000)
def find_variants(letters: str) -> Variants:
    """Return the spellings in which one syllable of the typed letters is replaced by another reading of a character.
    The last syllable may be typed in part, with two letters or more."""
    spellings: set[str] = set()
    characters: set[str] = set()
    for begin in _list_syllable_begins(letters):
        before, rest = letters[:begin], letters[begin:]
        for reading, others in _GROUPS.get(rest[0], {}).items():
            if not (rest.startswith(reading) or (len(rest) >= 2 and reading.startswith(rest))):
                continue
            for other, having in others.items():
                spelling = before + other + rest[len(reading) :]
                if not spelling.startswith(letters):  # a name with such a spelling is found without it
                    spellings.add(spelling)
                    characters.update(having)
    return Variants(sorted(spellings), sorted(characters))


def _list_syllable_begins(letters: str) -> list[int]:
    """Return the positions at which a syllable can begin."""
    begins = {0}
    for begin in range(len(letters)):
        if begin in begins:
            lengths = range(1, 7)
            begins |= {begin + length for length in lengths if _SYLLABLE.fullmatch(letters[begin : begin + length])}
    return sorted(begin for begin in begins if begin < len(letters))
