"""What is in the copy of a person's data: a section for each kind of data, in one statement each.

Every table that names a user is in a statement here or in `LEFT_OUT` with the reason; a test compares both with the
schema. Records of what the person did have no values from before and after: these can be the data of others.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.expression import TextualSelect

from app.core.cipher import Cipher
from app.core.i18n import gettext_noop
from app.messages.texts import write_reason, write_text

Record = dict[str, Any]


def _keep(record: Record) -> Record:
    return record


def _write_message(record: Record) -> Record:
    parameters = record.pop("parameters")
    written = write_text(record["kind"], record["org"], record.pop("subject_type"), parameters)
    return record | {"text": written, "reason": write_reason(parameters.get("reason"))}


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of data: the name of its file, a title for people, and the statement, whose parameter is `user_id`.

    A column `…_cipher` is decrypted: its associated data is the column `id`.
    """

    name: str
    title: str
    sql: str
    complete: Callable[[Record], Record] = _keep
    json_columns: Sequence[str] = ()

    @property
    def statement(self) -> TextualSelect:
        selected = text(self.sql).bindparams(bindparam("user_id", type_=Uuid()))
        return selected.columns(**dict.fromkeys(self.json_columns, JSONB))

    @property
    def tables(self) -> set[str]:
        """Return the names of the tables that the statement reads."""
        return set(re.findall(r"\b(?:FROM|JOIN) (\w+)", self.sql))

    def build_record(self, cipher: Cipher, row: Mapping[str, Any]) -> Record:
        """Return the JSON object of a row."""
        record = {
            name.removesuffix("_cipher"): cipher.decrypt_text(value, row["id"])
            if name.endswith("_cipher") and value is not None
            else value
            for name, value in row.items()
        }
        return self.complete(record)


_OWN = "SELECT '{kind}' AS kind, org_id, id, state, reason, requested_at, decided_at FROM {table} WHERE {condition}"
_REQUESTS = (
    ("join-request", "join_requests", "user_id = :user_id"),
    ("link-request", "link_requests", "user_id = :user_id"),
    ("removal-request", "removal_requests", "user_id = :user_id"),
    ("admin-invitation", "admin_invitations", ":user_id IN (requested_by, invitee_id, user_id)"),
    ("promotion", "promotions", ":user_id IN (requested_by, invitee_id)"),
    ("change-request", "change_requests", ":user_id IN (requested_by, main_admin_after)"),
    ("person-transfer", "person_transfers", "requested_by = :user_id"),
    ("group-transfer", "group_transfers", "requested_by = :user_id"),
    ("transfer", "transfers", "requested_by = :user_id"),
    ("merger", "mergers", "requested_by = :user_id"),
)
_ALL_REQUESTS = "\nUNION ALL ".join(
    (
        *(_OWN.format(kind=kind, table=table, condition=condition) for kind, table, condition in _REQUESTS),
        "SELECT 'closure', org_id, id, state, NULL, requested_at, decided_at FROM closures "
        "WHERE requested_by = :user_id",
        "SELECT 'application', subordinate_id, id, state, reason, requested_at, decided_at FROM certifications "
        "WHERE requested_by = :user_id",
    )
)

SECTIONS = (
    Section(
        "account",
        gettext_noop("账号、手机号和实名信息"),
        """
        SELECT u.id, u.phone_cipher, u.phone_since, u.status, u.verified_name, u.verified_at, u.verification_method,
            u.party_member, u.created_at, o.name AS operator_name, o.created_at AS operator_since
        FROM users u LEFT JOIN operators o ON o.user_id = u.id AND o.removed_at IS NULL
        WHERE u.id = :user_id
        """,
    ),
    Section(
        "former-phones",
        gettext_noop("使用以前手机号的时间（号码本身不保存）"),
        "SELECT since, until FROM user_phones WHERE user_id = :user_id ORDER BY until",
    ),
    Section(
        "verifications",
        gettext_noop("实名认证记录"),
        """
        SELECT id, method, state, name, id_number_cipher, reason, created_at, expires_at, decided_at
        FROM verifications AS v WHERE user_id = :user_id AND (
            -- At a sign-in another person may have tried to prove the name: that person's name is not this user's data.
            recovery_id IS NULL
            OR EXISTS (SELECT FROM account_recoveries AS r WHERE r.id = v.recovery_id AND r.requester_id = :user_id)
        ) ORDER BY id
        """,
    ),
    Section(
        "sessions",
        gettext_noop("登录记录：设备、地址和时间"),
        """
        SELECT s.id, c.name AS client, s.methods, s.scopes, s.device, host(s.address) AS address, s.created_at,
            s.refreshed_at, s.expires_at, s.key_checked_at, s.ended_at
        FROM sessions s JOIN oauth_clients c ON c.id = s.client_id
        WHERE s.user_id = :user_id ORDER BY s.id
        """,
    ),
    Section(
        "scans",
        gettext_noop("最近的扫码登录"),
        """
        SELECT d.id, c.name AS client, d.state, d.scopes, d.device, host(d.address) AS address, d.created_at
        FROM device_authorizations d JOIN oauth_clients c ON c.id = d.client_id
        WHERE d.user_id = :user_id ORDER BY d.id
        """,
    ),
    Section(
        "security-keys",
        gettext_noop("安全密钥"),
        "SELECT id, name, transports, created_at, used_at FROM security_keys WHERE user_id = :user_id ORDER BY id",
    ),
    Section(
        "recoveries",
        gettext_noop("用实名找回账号的申请"),
        """
        SELECT id, kind, state, reason, requester_id = :user_id AS requested_by_you, created_at, effective_at, ended_at
        FROM account_recoveries WHERE :user_id IN (account_id, requester_id) ORDER BY id
        """,
    ),
    Section(
        "directories",
        gettext_noop("您在各组织通讯录中的记录"),
        """
        SELECT m.id, o.name AS org, m.name, m.phone_cipher, m.party, m.probationary, m.post, m.created_at, m.removed_at,
            (SELECT jsonb_agg(jsonb_build_object('unit', n.name, 'since', p.since, 'until', p.until) ORDER BY p.id)
             FROM unit_memberships p LEFT JOIN units n ON n.org_id = p.org_id AND n.id = p.unit_id
             WHERE p.org_id = m.org_id AND p.member_id = m.id) AS units
        FROM members m JOIN orgs o ON o.id = m.org_id
        WHERE m.user_id = :user_id ORDER BY m.org_id
        """,
        json_columns=["units"],
    ),
    Section(
        "activations",
        gettext_noop("您的账号与通讯录记录关联的时间"),
        """
        SELECT a.id, o.name AS org, a.since, a.until
        FROM activations a JOIN orgs o ON o.id = a.org_id WHERE a.user_id = :user_id ORDER BY a.id
        """,
    ),
    Section(
        "offices",
        gettext_noop("您担任学习管理员的组织"),
        """
        SELECT o.id AS org_id, o.name AS org, o.main_admin_id = a.user_id AS main_admin, a.since
        FROM org_admins a JOIN orgs o ON o.id = a.org_id WHERE a.user_id = :user_id ORDER BY o.id
        """,
    ),
    Section(
        "points",
        gettext_noop("积分明细"),
        """
        SELECT day, kind, points, source, occurred_at, received_at
        FROM point_events WHERE user_id = :user_id ORDER BY day, occurred_at
        """,
    ),
    Section(
        "messages",
        gettext_noop("消息"),
        """
        SELECT m.id, m.kind, o.name AS org, m.subject_type, m.parameters, m.created_at, m.read_at
        FROM messages m LEFT JOIN orgs o ON o.id = m.org_id WHERE m.user_id = :user_id ORDER BY m.id
        """,
        _write_message,
        json_columns=["parameters"],
    ),
    Section(
        "requests",
        gettext_noop("您提出的申请和收到的邀请"),
        f"""
        SELECT r.kind, r.id, r.org_id, o.name AS org, r.state, r.reason, r.requested_at, r.decided_at
        FROM ({_ALL_REQUESTS}) r LEFT JOIN orgs o ON o.id = r.org_id ORDER BY r.id
        """,  # noqa: S608 — constants
    ),
    Section(
        "blocked-orgs",
        gettext_noop("您不接受其关联的组织"),
        """
        SELECT b.org_id, o.name AS org, b.created_at
        FROM org_blocks b JOIN orgs o ON o.id = b.org_id WHERE b.user_id = :user_id ORDER BY b.org_id
        """,
    ),
    Section(
        "created",
        gettext_noop("您创建的组织、邀请、链接、导入和导出"),
        """
        SELECT r.kind, r.id, r.org_id, o.name AS org, r.file_name, r.created_at
        FROM (
            SELECT 'org' AS kind, id, id AS org_id, NULL AS file_name, created_at FROM orgs WHERE created_by = :user_id
            UNION ALL SELECT 'invitation', id, org_id, NULL, created_at FROM invitations WHERE created_by = :user_id
            UNION ALL SELECT 'join-link', id, org_id, NULL, created_at FROM join_links WHERE created_by = :user_id
            UNION ALL SELECT 'import', id, org_id, file_name, created_at FROM imports WHERE created_by = :user_id
            UNION ALL SELECT 'export', id, org_id, NULL, created_at FROM exports WHERE created_by = :user_id
            UNION ALL SELECT 'org-load', id, NULL, file_name, created_at FROM org_loads WHERE created_by = :user_id
            UNION ALL SELECT 'data-copy', id, NULL, NULL, created_at FROM data_copies WHERE user_id = :user_id
        ) r LEFT JOIN orgs o ON o.id = r.org_id ORDER BY r.created_at
        """,
    ),
    Section(
        "acts",
        gettext_noop("您的操作记录"),
        """
        SELECT a.id, a.at, a.action, a.org_id, o.name AS org, a.client_id, host(a.address) AS address, a.subject_type,
            a.subject_id, a.request_id
        FROM audit_entries a LEFT JOIN orgs o ON o.id = a.org_id WHERE a.user_id = :user_id ORDER BY a.id
        """,
    ),
)

LEFT_OUT: Mapping[str, str] = {
    "user_days": "sums of the points, by day",
    "org_scores": "sums of the points, for the rankings",
    "point_deltas": "points that wait to be summed",
    "user_deltas": "a change that waits to be counted",
}
"""The tables with a user that have no section, with the reason."""
