"""The worker's part of the recoveries: the SMS to the account's present phone, and the end of the wait."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, select, update

from app.auth.recoveries.completion import complete_recovery
from app.auth.recovery_states import RecoveryState
from app.auth.verification.recovery_proofs import NOTICE
from app.core.app_links import build_stop_link
from app.core.cipher import create_secret, hash_secret
from app.database.rows import fetch_row
from app.queue.jobs import Job, Payload, Worker
from app.schema.auth import AccountRecovery, User
from app.sms.gateway import deliver_message
from app.sms.loading import open_gateway
from app.sms.messages import Message, Template, write_recovery_notice

COMPLETE = "complete-recovery"


class _NoticeRow(NamedTuple):
    """The account's present phone and the end of the wait."""

    account_id: UUID
    phone_cipher: bytes
    effective_at: datetime


_FIND = (
    select(AccountRecovery.account_id, User.phone_cipher, AccountRecovery.effective_at)
    .join(User, User.id == AccountRecovery.account_id)
    .where(
        AccountRecovery.id == bindparam("recovery_id"),
        AccountRecovery.state == RecoveryState.WAITING,
        User.phone_cipher.is_not(None),
    )
)
_SET_SECRET = update(AccountRecovery).where(
    AccountRecovery.id == bindparam("of_recovery"), AccountRecovery.state == RecoveryState.WAITING
)


async def _send_notice(worker: Worker, payload: Payload) -> None:
    """Send the SMS with the link that stops the recovery. A repeated job makes a new link, the last of which works.

    Raises NotSent and TimeoutError of the gateway, so that the queue tries again.
    """
    recovery_id = UUID(payload["recovery_id"])
    async with open_gateway(worker.settings, worker.engine, worker.cipher) as gateway:
        if gateway is None:
            return
        secret = create_secret()
        async with worker.engine.begin() as db:
            found = await fetch_row(db, _FIND, _NoticeRow, {"recovery_id": recovery_id})
            if found is None:
                return
            await db.execute(_SET_SECRET, {"of_recovery": recovery_id, "secret_hash": hash_secret(secret)})
        phone = worker.cipher.decrypt_text(found.phone_cipher, found.account_id)
        link = build_stop_link(worker.settings.issuer, secret)
        await gateway.send(phone, write_recovery_notice(found.effective_at, link))


async def _complete(worker: Worker, payload: Payload) -> None:
    """Give the account the new phone, and tell the former one."""
    async with worker.engine.begin() as db:
        phone = await complete_recovery(db, worker.cipher, UUID(payload["recovery_id"]))
    if phone is None:
        return
    async with open_gateway(worker.settings, worker.engine, worker.cipher) as gateway:
        if gateway is not None:
            await deliver_message(gateway, phone, Message(Template.PHONE_CHANGED))


JOBS: Mapping[str, Job] = {NOTICE: Job(_send_notice), COMPLETE: Job(_complete)}
