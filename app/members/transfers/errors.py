"""What is refused about transfers of people, and what to do instead."""

from app.web.errors import Conflict


class SameOrg(Conflict):
    slug = "same-org"
    zh, en = "此人已在该组织", "The person is in this organisation"
    advice_zh = "在组织内部调整支部,请修改所在支部。"
    advice_en = "Within an organisation, change the units they stand in instead."


class PersonTransferOpen(Conflict):
    slug = "person-transfer-open"
    zh, en = "此人已有待处理的转移", "A transfer of this person waits already"
    advice_zh, advice_en = "请等待对方处理,或先撤回原转移。", "Wait for it to be decided, or withdraw it first."


class PersonTransferDecided(Conflict):
    slug = "person-transfer-decided"
    zh, en = "该转移已处理、撤回或失效", "The transfer has been decided, withdrawn, or has lapsed"
    advice_zh = "请刷新列表;如此人已被移出原组织,请直接添加。"
    advice_en = "Read the list again; where the person has left the other organisation, add them by hand."


class PersonIsHere(Conflict):
    slug = "person-is-here"
    zh, en = "此人已在本组织的通讯录中", "The person is in this directory already"
    advice_zh = "请将其复制到所需支部,并由原组织移出(S8)。"
    advice_en = "Copy them into the unit, and let the other organisation remove them (S8)."
