"""Delivery receipts: what the providers say has become of messages. Only counts are stored. Table:
`sms_receipt_counts`.

A receipt that a provider sends twice counts twice: nothing is stored by which it could be known.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import orjson
from sqlalchemy import BigInteger, ColumnElement, Interval, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.db import Readable
from app.database.rows import fetch_rows
from app.schema.sms import SmsReceiptCount
from app.sms.messages import Template

UNKNOWN = "unknown"
"""The template of a receipt whose provider does not name it."""
MAX_RECEIPTS = 1000
"""The receipts of one call. Providers send up to a few hundred."""
_TEMPLATES = frozenset(Template)


class Outcome(StrEnum):
    DELIVERED = "delivered"
    FAILED = "failed"


class Receipt(NamedTuple):
    template: str
    outcome: Outcome


class UnreadableReceipts(Exception):
    """The body is not what the provider's protocol says."""


def read_aliyun_receipts(body: bytes) -> list[Receipt]:
    """Return the receipts of `SmsReport` of Alibaba Cloud: `out_id` is the template, which `SendSms` has given. Raises
    UnreadableReceipts."""
    return [_build(item.get("out_id"), item.get("success") is True) for item in _read_list(body)]


def read_tencent_receipts(body: bytes) -> list[Receipt]:
    """Return the receipts of the status callback of Tencent Cloud, which names no template. Raises
    UnreadableReceipts."""
    return [_build(None, item.get("report_status") == "SUCCESS") for item in _read_list(body)]


def read_hook_receipts(body: bytes) -> list[Receipt]:
    """Return the receipts of a gateway of the operator's own: a list of `{"template", "delivered"}`. Raises
    UnreadableReceipts."""
    return [_build(item.get("template"), item.get("delivered") is True) for item in _read_list(body)]


def _build(template: object, delivered: bool) -> Receipt:
    known = template if isinstance(template, str) and template in _TEMPLATES else UNKNOWN
    return Receipt(known, Outcome.DELIVERED if delivered else Outcome.FAILED)


def _read_list(body: bytes) -> list[dict[str, Any]]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UnreadableReceipts from None
    if not isinstance(found, list) or len(found) > MAX_RECEIPTS or not all(isinstance(item, dict) for item in found):
        raise UnreadableReceipts
    return found


_NEW = insert(SmsReceiptCount)
_ADD = _NEW.on_conflict_do_update(
    index_elements=["hour", "provider", "template", "outcome"],
    set_={"count": SmsReceiptCount.count + _NEW.excluded.count},
)


async def count_receipts(db: AsyncConnection, provider: str, receipts: Iterable[Receipt]) -> None:
    """Add the receipts to the counts of the present hour. Locks these counts, in one order."""
    counted: Mapping[Receipt, int] = Counter(receipts)
    rows = [
        {"provider": provider, "template": receipt.template, "outcome": receipt.outcome, "count": counted[receipt]}
        for receipt in sorted(counted)
    ]
    for row in rows:
        await db.execute(_ADD.values(hour=func.date_trunc("hour", func.now()), **row))


class ReceiptCounts(NamedTuple):
    """The receipts of a provider for one template in a span of time."""

    provider: str
    template: str
    delivered: int
    failed: int


class FailingShare(NamedTuple):
    """The receipts of a provider in a span of time, and the share of those that say that a message failed, from 0 to
    1."""

    provider: str
    delivered: int
    failed: int

    @property
    def share(self) -> float:
        return self.failed / (self.delivered + self.failed)


def _sum(outcome: Outcome) -> ColumnElement[int]:
    total = func.sum(SmsReceiptCount.count).filter(SmsReceiptCount.outcome == outcome)
    return cast(func.coalesce(total, 0), BigInteger).label(outcome.value)


_SINCE = SmsReceiptCount.hour >= func.now() - bindparam("span", type_=Interval())
_COUNTS = (
    select(SmsReceiptCount.provider, SmsReceiptCount.template, _sum(Outcome.DELIVERED), _sum(Outcome.FAILED))
    .where(_SINCE)
    .group_by(SmsReceiptCount.provider, SmsReceiptCount.template)
    .order_by(SmsReceiptCount.provider, SmsReceiptCount.template)
)
_SHARES = (
    select(SmsReceiptCount.provider, _sum(Outcome.DELIVERED), _sum(Outcome.FAILED))
    .where(_SINCE)
    .group_by(SmsReceiptCount.provider)
    .order_by(SmsReceiptCount.provider)
)


async def list_receipt_counts(db: Readable, span: timedelta) -> list[ReceiptCounts]:
    """Return the receipts by provider and template of the hours that began in this span of time until now."""
    return await fetch_rows(db, _COUNTS, ReceiptCounts, {"span": span})


async def measure_failing_shares(db: Readable, span: timedelta) -> list[FailingShare]:
    """Return the failing share of each provider with a receipt in the hours that began in this span of time until
    now. The alert "SMS failing" reads it."""
    return await fetch_rows(db, _SHARES, FailingShare, {"span": span})
