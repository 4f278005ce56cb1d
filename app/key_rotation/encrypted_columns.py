"""Every encrypted column of the schema, and what each of its values is bound to.

A test holds this list against the tables: a new `…_cipher` column without its line here fails.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import InstrumentedAttribute

from app.schema.admins import AdminInvitation
from app.schema.auth import SigningKey, SimulatedMessage, User, Verification
from app.schema.certification import Invitation
from app.schema.exports import Export, ExportPart
from app.schema.idempotency import IdempotencyKey
from app.schema.members import ImportFile, ImportRow, Member
from app.schema.orgs import Promotion


@dataclass(frozen=True, slots=True)
class Sealed:
    """A column; `bound` are the columns from which `row` makes the value's associated data. `batch`: rows at a time."""

    column: InstrumentedAttribute[Any]
    bound: Sequence[InstrumentedAttribute[Any]]
    row: Callable[..., UUID | str] = lambda one: one
    batch: int = 500

    @property
    def name(self) -> str:
        return f"{self.column.class_.__tablename__}.{self.column.key}"


def _place(file: UUID, part: int) -> str:
    return f"{file}/{part}"


def _cells(new_member: UUID) -> str:
    return f"{new_member}/cells"


PART_BATCH = 4  # of up to a megabyte each

SEALED = (
    Sealed(User.phone_cipher, [User.id]),
    Sealed(Verification.id_number_cipher, [Verification.id]),
    Sealed(SigningKey.private_cipher, [SigningKey.kid]),
    Sealed(SimulatedMessage.text_cipher, [SimulatedMessage.id]),
    Sealed(Member.phone_cipher, [Member.id]),
    Sealed(AdminInvitation.phone_cipher, [AdminInvitation.id]),
    Sealed(Promotion.phone_cipher, [Promotion.id]),
    Sealed(Invitation.token_cipher, [Invitation.id]),
    Sealed(ImportRow.phone_cipher, [ImportRow.new_member_id]),
    Sealed(ImportRow.cells_cipher, [ImportRow.new_member_id], _cells),
    Sealed(ImportFile.content_cipher, [ImportFile.import_id, ImportFile.part], _place, PART_BATCH),
    Sealed(Export.question_cipher, [Export.id]),
    Sealed(ExportPart.content_cipher, [ExportPart.export_id, ExportPart.part], _place, PART_BATCH),
    Sealed(IdempotencyKey.body_cipher, [IdempotencyKey.digest], lambda digest: digest.hex()),
)
