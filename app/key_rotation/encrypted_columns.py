"""The encrypted columns of the schema, each with the associated data that its values are bound to.

A test compares this list with the tables, and fails for a `…_cipher` column that is not in it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import InstrumentedAttribute

from app.auth.verification.pictures import build_picture_id
from app.schema.admins import AdminInvitation
from app.schema.auth import AccountRecovery, User, Verification, VerificationPicture
from app.schema.certification import Invitation
from app.schema.exports import Export, ExportPart
from app.schema.idempotency import IdempotencyKey
from app.schema.imports import ImportChange, ImportFile, ImportRow
from app.schema.joins import JoinLink
from app.schema.members import Member
from app.schema.org_loads import OrgLoadFile, OrgLoadRow
from app.schema.orgs import Promotion
from app.schema.personal_data import DataCopy
from app.schema.sign_in import SigningKey, SimulatedMessage


@dataclass(frozen=True, slots=True)
class EncryptedColumn:
    """An encrypted column. `build_associated_data` makes a value's associated data from the row's `bound_columns`."""

    attribute: InstrumentedAttribute[Any]
    bound_columns: Sequence[InstrumentedAttribute[Any]]
    build_associated_data: Callable[..., UUID | str] = lambda row_id: row_id
    batch_size: int = 500  # rows

    @property
    def name(self) -> str:
        return f"{self.attribute.class_.__tablename__}.{self.attribute.key}"


def _build_part_id(file: UUID, part: int) -> str:
    return f"{file}/{part}"


def _build_cells_id(new_member: UUID) -> str:
    return f"{new_member}/cells"


PART_BATCH_SIZE = 4  # A part has up to a megabyte.

ENCRYPTED_COLUMNS = (
    EncryptedColumn(User.phone_cipher, [User.id]),
    EncryptedColumn(Verification.id_number_cipher, [Verification.id]),
    EncryptedColumn(
        VerificationPicture.content_cipher,
        [VerificationPicture.verification_id, VerificationPicture.side],
        build_picture_id,
        PART_BATCH_SIZE,
    ),
    EncryptedColumn(AccountRecovery.phone_cipher, [AccountRecovery.id]),
    EncryptedColumn(SigningKey.private_cipher, [SigningKey.kid]),
    EncryptedColumn(SimulatedMessage.text_cipher, [SimulatedMessage.id]),
    EncryptedColumn(Member.phone_cipher, [Member.id]),
    EncryptedColumn(AdminInvitation.phone_cipher, [AdminInvitation.id]),
    EncryptedColumn(Promotion.phone_cipher, [Promotion.id]),
    EncryptedColumn(Invitation.token_cipher, [Invitation.id]),
    EncryptedColumn(JoinLink.token_cipher, [JoinLink.id]),
    EncryptedColumn(ImportRow.phone_cipher, [ImportRow.new_member_id]),
    EncryptedColumn(ImportRow.cells_cipher, [ImportRow.new_member_id], _build_cells_id),
    EncryptedColumn(ImportChange.phone_cipher, [ImportChange.member_id]),
    EncryptedColumn(
        ImportFile.content_cipher, [ImportFile.import_id, ImportFile.part], _build_part_id, PART_BATCH_SIZE
    ),
    EncryptedColumn(OrgLoadRow.phone_cipher, [OrgLoadRow.offer_id]),
    EncryptedColumn(OrgLoadRow.cells_cipher, [OrgLoadRow.new_id], _build_cells_id),
    EncryptedColumn(
        OrgLoadFile.content_cipher, [OrgLoadFile.load_id, OrgLoadFile.part], _build_part_id, PART_BATCH_SIZE
    ),
    EncryptedColumn(Export.question_cipher, [Export.id]),
    EncryptedColumn(
        ExportPart.content_cipher, [ExportPart.export_id, ExportPart.part], _build_part_id, PART_BATCH_SIZE
    ),
    EncryptedColumn(DataCopy.content_cipher, [DataCopy.id], batch_size=1),  # a whole file
    EncryptedColumn(IdempotencyKey.body_cipher, [IdempotencyKey.digest], lambda digest: digest.hex()),
)
