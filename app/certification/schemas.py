"""Request and response bodies of certification and transfers."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from app.approvals.reasons import TranslatedReason
from app.core.text import Reason, Token
from app.orgs.names import Kind
from app.orgs.schemas import AdviceOut
from app.schema.approvals import CertificationState, State
from app.web.errors import Problem, describe_problem
from app.web.schemas import Body, Out


class InvitationCreate(Body):
    """An invitation with which orgs apply to become subordinates."""

    expires_in_hours: int = Field(default=168, ge=1, le=24 * 90, description="Hours until it expires.")
    max_uses: int = Field(default=1, ge=1, le=10_000, description="How many applications can use it.")


class InvitationOut(Out):
    id: UUID
    link: str = Field(description="Send this link to the subordinate's admin. The QR code contains the same link.")
    token: str = Field(description="The secret in the link. An application sends it as `invitation_token`.")
    expires_at: datetime
    max_uses: int
    uses: int
    revoked_at: datetime | None
    created_at: datetime


class InvitationCard(Out):
    """The org that sent the invitation, as a user with a valid token sees it."""

    org_id: UUID
    org_name: str
    org_kind: Kind
    org_region: str
    expires_at: datetime


class ApplicationCreate(Body):
    invitation_token: Token


class ApplicationOut(Out):
    """An application to be certified, as either side sees it."""

    id: UUID
    superior_id: UUID
    subordinate_id: UUID
    state: CertificationState = Field(
        description="`pending` until it is decided; an accepted one is a certification: `live`, and later `ended`."
    )
    requested_at: datetime
    decided_at: datetime | None
    reason: TranslatedReason


class ApplicationCreated(ApplicationOut):
    """An application that was just made, with advice about it."""

    advice: list[AdviceOut] = Field(description="What is unusual about it: withdraw it if that is a mistake.")


class ReceivedApplicationOut(ApplicationOut):
    """An application as the superior's admins see it: with the applying org's card and the applicant."""

    subordinate_name: str
    subordinate_kind: Kind
    subordinate_region: str
    applicant_name: str | None = Field(description="Verified name of the admin who applied.")
    applicant_verified: bool
    advice: list[AdviceOut] = Field(
        default_factory=list, description="What is unusual about it: check it before you decide."
    )


class CertificationOut(ApplicationOut):
    """One certification of the org under a superior, with its time range."""

    superior_name: str
    certified_at: datetime | None
    ended_at: datetime | None


class RefusalCreate(Body):
    reason: Reason


_ApplicationIds = Annotated[
    list[UUID],
    AfterValidator(lambda ids: list(dict.fromkeys(ids))),
    Field(min_length=1, max_length=200, description="Applications that this org has received; 1 to 200."),
]


class ApplicationApprovals(Body):
    """Approve these applications."""

    decision: Literal["approval"]
    application_ids: _ApplicationIds


class ApplicationRefusals(Body):
    """Refuse these applications, all for one reason."""

    decision: Literal["refusal"]
    application_ids: _ApplicationIds
    reason: Reason


ApplicationDecisionsCreate = Annotated[ApplicationApprovals | ApplicationRefusals, Field(discriminator="decision")]


class DecisionProblemOut(Out):
    """Why an application was not decided: the problem that the single call would answer."""

    type: str = Field(description="Stable slug.", examples=["/problems/sibling-name-taken"])
    title: str
    status: int = Field(examples=[409])
    detail: str = Field(description="What to do about it.")

    @classmethod
    def from_problem(cls, problem: Problem) -> Self:
        """Return the description in the caller's language."""
        return cls.model_validate(describe_problem(problem, None))


class ApplicationDecisionOut(Out):
    application_id: UUID
    application: ReceivedApplicationOut | None = Field(description="As it is now; absent if unknown to this org.")
    problem: DecisionProblemOut | None = Field(description="Absent where it has been decided as requested.")


class ApplicationDecisionsOut(Out):
    """The outcome of each application, in the order of the request."""

    items: list[ApplicationDecisionOut]
    decided: int = Field(description="How many are decided as requested.")
    refused: int = Field(description="How many are not, each with its problem.")


class SubordinateOut(Out):
    id: UUID
    name: str
    kind: Kind
    region_code: str
    certified_at: datetime


class SuperiorOut(Out):
    id: UUID
    name: str
    distance: int = Field(description="1 for the direct superior.")


class TransferCreate(Body):
    """Request to move the org, with all its subordinates, to the superior that sent the invitation."""

    invitation_token: Token


class TransferDecision(Body):
    """The preview on which the decision is based."""

    preview: Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")] = Field(
        description="`preview.version` of the transfer. The answer is 409 `preview-stale` if it has changed."
    )


class TransferOut(Out):
    """A transfer, as its three orgs see it."""

    id: UUID
    org_id: UUID
    org_name: str
    from_id: UUID
    from_name: str
    to_id: UUID
    to_name: str
    state: State
    step: Literal["release", "acceptance"] | None = Field(
        description="The next step of a pending transfer: `release` by the present superior, then `acceptance` by the "
        "new superior."
    )
    requested_by: str | None = Field(description="Verified name of the main admin who requested the transfer.")
    requested_at: datetime
    released_at: datetime | None = Field(description="When the present superior released the org.")
    decided_at: datetime | None
    reason: TranslatedReason = Field(description="Why it was declined.")


class TransferPreviewOut(Out):
    """What the transfer moves, and the superiors before and after it. The figures may change at any time. The version
    changes only if the certification that ends, or the superiors of either superior, change."""

    version: str = Field(description="Send it with the release or the acceptance.")
    orgs: int = Field(description="The number of orgs: the org and its whole subtree.")
    people: int | None = Field(
        description="The number of people in these orgs, each counted once; null where reports withhold it."
    )
    points: int | None = Field(
        description="Points of these people in the last 30 days; null where reports withhold them."
    )
    from_chain: list[str] = Field(description="Names of the present superior and of its superiors, the nearest first.")
    to_chain: list[str] = Field(description="Names of the new superior and of its superiors, the nearest first.")


class TransferDetailOut(TransferOut):
    preview: TransferPreviewOut | None = Field(description="Present while the transfer is pending.")
    advice: list[AdviceOut] = Field(
        default_factory=list,
        description="What is unusual about the org and the new superior, while the transfer is pending.",
    )
