"""Decisions on the phone: requests to the user's orgs and offers to the user, with the console's own confirmations."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from app.admins.operations import accept_admin_invitation
from app.authz.access import Can, OrgScope, SignedIn, UserScope
from app.authz.permissions import Permission
from app.certification.transfer_queries import get_transfer
from app.certification.transfers import accept_transfer, release_org_to_new_superior
from app.console.certification import applications, transfers
from app.console.directory import group_transfers, joins, links, person_transfers, removals
from app.console.frame.confirmations import Confirmation, run_confirmation
from app.console.frame.forms import Form, FormContext, PageForm
from app.console.frame.templates import render_page
from app.console.settings import changes, decisions, invited
from app.console.settings.invited import Kind as OfferKind
from app.console.settings.invited import OfferId
from app.core.cipher import Cipher, CipherDep
from app.core.i18n import gettext, ngettext, number
from app.core.services import SETTINGS
from app.database.db import Readable, ReadDb, WriteDb
from app.members.group_transfers.operations import accept_group_transfer
from app.members.group_transfers.queries import get_group_transfer
from app.members.joins.operations import accept_join_request
from app.members.joins.queries import get_received_join_request
from app.members.links.operations import accept_link_request
from app.members.links.queries import get_received_request
from app.members.transfers.operations import accept_person_transfer
from app.members.transfers.queries import get_person_transfer
from app.promotions.operations import accept_promotion
from app.promotions.schemas import OfferedPromotionOut
from app.web.errors import NotFound
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone/inbox", route_class=PhoneRoute, include_in_schema=False)

INBOX = "/phone/inbox"
RequestId = Annotated[UUID, Path()]


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """The request to decide, with the user and the form of the HTTP request."""

    request: Request
    db: Readable
    cipher: Cipher
    scope: OrgScope
    id: UUID
    form: Form

    @property
    def route_values(self) -> tuple[Request, Readable, OrgScope, UUID]:
        return self.request, self.db, self.scope, self.id


Answers = Mapping[str, Confirmation]
"""The answers that the user can give, by name (`acceptance`, `refusal`): each is a form and its operation."""


class DecisionPage(FormContext, template="phone/decision.html"):
    """The page with the possible answers to a request, by name. `to` is the address of the request; `given` is the
    answer that the user has given and that was refused."""

    about: str
    to: str
    answers: Answers
    given: str = ""


def decision_routes(
    kind: str, permission: Permission
) -> Callable[[Callable[[DecisionRequest], Awaitable[Answers]]], object]:
    """Return a decorator that adds the routes of one kind: GET shows the answers, POST gives one by its name."""

    def add_routes(list_answers: Callable[[DecisionRequest], Awaitable[Answers]]) -> object:
        @router.get(f"/{kind}/{{org_id}}/{{request_id}}")
        async def show(
            request: Request,
            db: ReadDb,
            cipher: CipherDep,
            scope: Annotated[OrgScope, Can(permission)],
            request_id: RequestId,
        ) -> Response:
            answers = await list_answers(DecisionRequest(request, db, cipher, scope, request_id, Form([])))
            return _show(request, scope.org.name, answers)

        @router.post(f"/{kind}/{{org_id}}/{{request_id}}/{{answer}}")
        async def answer_request(
            request: Request,
            db: WriteDb,
            cipher: CipherDep,
            scope: Annotated[OrgScope, Can(permission)],
            request_id: RequestId,
            answer: str,
            form: PageForm,
        ) -> Response:
            answers = await list_answers(DecisionRequest(request, db, cipher, scope, request_id, form))
            return await _run_answer(request, db, scope.org.name, answers, answer, form)

        return list_answers

    return add_routes


def _show(request: Request, about: str, answers: Answers) -> Response:
    return render_page(request, DecisionPage(about=about, to=request.url.path, answers=answers))


async def _run_answer(request: Request, db: WriteDb, about: str, answers: Answers, answer: str, form: Form) -> Response:
    if answer not in answers:
        raise NotFound
    outcome = await run_confirmation(db, answers[answer], form)
    if not outcome:
        return Response(status_code=303, headers={"Location": INBOX})
    to = request.url.path.rpartition("/")[0]
    again = DecisionPage(about=about, to=to, answers=answers, given=answer, form=form, outcome=outcome)
    return render_page(request, again)


@router.get("/{kind}/{offer_id}")
async def show_offer(
    request: Request, db: ReadDb, cipher: CipherDep, scope: SignedIn, kind: OfferKind, offer_id: OfferId
) -> Response:
    """Show an offer to the user's phone with both answers."""
    answers = await _list_offer_answers(request, db, cipher, scope, kind, offer_id)
    return _show(request, answers["acceptance"].title, answers)


@router.post("/{kind}/{offer_id}/{answer}")
async def answer_offer(
    request: Request,
    db: WriteDb,
    cipher: CipherDep,
    scope: SignedIn,
    kind: OfferKind,
    offer_id: OfferId,
    answer: str,
    form: PageForm,
) -> Response:
    """Accept or decline an offer: to become an admin (S4), or main admin of a promoted unit (S7, S19)."""
    answers = await _list_offer_answers(request, db, cipher, scope, kind, offer_id)
    return await _run_answer(request, db, answers["acceptance"].title, answers, answer, form)


async def _list_offer_answers(
    request: Request, db: Readable, cipher: Cipher, scope: UserScope, kind: OfferKind, offer_id: UUID
) -> Answers:
    """Return the answers to an offer: accept or decline. Raises NotFound."""
    decision = await invited.get_received_offer(db, scope, kind, offer_id)
    accept = accept_promotion if kind == "promotion" else accept_admin_invitation
    if kind == "promotion":
        explanation = gettext(
            "“{org}”请您将此支部建成独立的学习组织，由您担任主管理员；支部人员随之转入。", org=decision.org_name
        )
    else:
        explanation = gettext("邀请您担任管理员。接受时须已完成实名认证。")
    acceptance = Confirmation(
        title=decision.name if isinstance(decision, OfferedPromotionOut) else decision.org_name,
        explanation=explanation,
        button=gettext("接受"),
        operation=lambda db, _: accept(db, cipher, scope, offer_id),
        message="",
        danger=False,
    )
    return {"acceptance": acceptance, "refusal": await invited.confirm_refusal(request, db, scope, kind, offer_id)}


@decision_routes("application", Permission.CERTIFICATION_WRITE)
async def list_application_answers(decision: DecisionRequest) -> Answers:
    """Return the answers to an application: certify the applicant under this org, or refuse (S6)."""
    return {
        "approval": await applications.confirm_approval(*decision.route_values),
        "refusal": await applications.confirm_refusal(*decision.route_values),
    }


@decision_routes("change-request", Permission.CHANGES_WRITE)
async def list_change_request_answers(decision: DecisionRequest) -> Answers:
    """Return the answers to a change request: approve a subordinate's new name or main admin, or refuse (S5)."""
    return {
        "approval": await decisions.confirm_approval(*decision.route_values),
        "refusal": await decisions.confirm_refusal(*decision.route_values),
    }


@decision_routes("recovery", Permission.CHANGES_WRITE)
async def list_recovery_answers(decision: DecisionRequest) -> Answers:
    """Return the only answer to a recovery: the main admin whom it would replace withdraws it."""
    return {"withdrawal": await changes.confirm_withdrawal(*decision.route_values)}


@decision_routes("transfer", Permission.TRANSFERS_DECIDE)
async def list_transfer_answers(decision: DecisionRequest) -> Answers:
    """Return the answers to a transfer: release, accept or refuse an org with its subtree. The preview that was shown
    must still be current (S20)."""
    suppress_below = SETTINGS.get(decision.request).withhold_below
    found = await get_transfer(decision.db, decision.scope, decision.id, suppress_below=suppress_below)
    refusal = await transfers.confirm_refusal(*decision.route_values)
    release = found.step == "release" and found.from_id == decision.scope.org_id
    if found.preview is None or not (release or (found.step == "acceptance" and found.to_id == decision.scope.org_id)):
        return {"refusal": refusal}
    preview = decision.form.get("preview") or found.preview.version
    moved = {"name": found.org_name, "orgs": found.preview.orgs, "people": number(found.preview.people)}
    if release:
        explanation = gettext(
            "您同意“{name}”连同全部下级离开本组织，共 {orgs} 个组织、{people} 人。新上级接收之前，它仍在本组织之下。",
            **moved,
        )
    else:
        explanation = gettext("“{name}”连同全部下级立即转到本组织之下，共 {orgs} 个组织、{people} 人。", **moved)
    act = release_org_to_new_superior if release else accept_transfer
    acceptance = Confirmation(
        title=gettext("同意转出") if release else gettext("接收“{name}”", name=found.org_name),
        explanation=explanation,
        button=gettext("同意转出") if release else gettext("接收"),
        operation=lambda db, _: act(db, decision.scope, decision.id, preview),
        message="",
        name=found.org_name,
        hidden_fields={"preview": preview},
    )
    return {"release" if release else "acceptance": acceptance, "refusal": refusal}


@decision_routes("link-request", Permission.MEMBERS_WRITE)
async def list_link_request_answers(decision: DecisionRequest) -> Answers:
    """Return the answers to a link request: link the requester to one of the matching members, or refuse (S18)."""
    found = await get_received_request(decision.db, decision.cipher, decision.scope.org_id, decision.id)
    rows = {
        str(member.id): Confirmation(
            title=gettext("{name} 申请关联", name=found.name),
            explanation=gettext(
                "请先与本人核对。关联后此人变为已激活，通讯录中的号码不变，也不会显示对方的号码；以后可以解除关联。"
            ),
            button=gettext("关联到 {name} {phone}", name=member.name, phone=member.phone),
            operation=lambda db, _, row=member.id: accept_link_request(db, decision.scope, decision.id, row),  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            message="",
            danger=False,
        )
        for member in found.candidates
    }
    return {**rows, "refusal": await links.confirm_refusal(*decision.route_values)}


@decision_routes("join-request", Permission.MEMBERS_WRITE)
async def list_join_request_answers(decision: DecisionRequest) -> Answers:
    """Return the answers to a join request: add the person to the unit of the link or to the org itself, or refuse."""
    refusal = await joins.confirm_refusal(*decision.route_values)
    found = await get_received_join_request(decision.db, decision.scope.org_id, decision.id)
    if found.unit_name is None:
        explanation = gettext("{name} 列入本组织通讯录的管理组，以后可以在电脑端选择支部。", name=found.name)
    else:
        explanation = gettext("{name} 列入本组织通讯录，所在支部：{unit}。", name=found.name, unit=found.unit_name)
    title = gettext("同意 {name} 加入", name=found.name)
    acceptance = Confirmation(
        title=title if found.verified else gettext("同意 {name}（未实名）加入", name=found.name),
        explanation=explanation,
        button=gettext("同意"),
        operation=lambda db, _: accept_join_request(db, decision.cipher, decision.scope, decision.id, None),
        message="",
        danger=False,
    )
    return {"acceptance": acceptance, "refusal": refusal}


@decision_routes("removal-request", Permission.MEMBERS_WRITE)
async def list_removal_request_answers(decision: DecisionRequest) -> Answers:
    """Return the answers to a removal request: remove the person from the directory, or refuse."""
    return {
        "acceptance": await removals.confirm_acceptance(*decision.route_values),
        "refusal": await removals.confirm_refusal(*decision.route_values),
    }


@decision_routes("person-transfer", Permission.MEMBERS_WRITE)
async def list_person_transfer_answers(decision: DecisionRequest) -> Answers:
    """Return the answers to a person's transfer: accept the person into the directory, or refuse (S20)."""
    refusal = await person_transfers.confirm_refusal(*decision.route_values)
    found = await get_person_transfer(decision.db, decision.scope.org_id, decision.id)
    acceptance = Confirmation(
        title=gettext("接收 {name}", name=found.name or ""),
        explanation=gettext(
            "{name} 立即离开“{org}”，列入本组织通讯录的管理组，以后可以在电脑端选择支部。"
            "账号和积分不受影响，以往记录不变。",
            name=found.name or "",
            org=found.from_name,
        ),
        button=gettext("接受"),
        operation=lambda db, _: accept_person_transfer(db, decision.cipher, decision.scope, decision.id, []),
        message="",
        danger=False,
    )
    return {"acceptance": acceptance, "refusal": refusal}


@decision_routes("group-transfer", Permission.MEMBERS_WRITE)
async def list_group_transfer_answers(decision: DecisionRequest) -> Answers:
    """Return the answers to a transfer of several people: accept them into the directory, or refuse (S20)."""
    refusal = await group_transfers.confirm_refusal(*decision.route_values)
    found = await get_group_transfer(decision.db, decision.scope.org_id, decision.id)
    acceptance = Confirmation(
        title=ngettext("接收 {count} 人", found.people),
        explanation=gettext(
            "他们立即离开“{org}”，列入本组织通讯录的管理组，以后可以在电脑端选择支部。"
            "不能转移的留在原组织。账号和积分不受影响，以往记录不变。",
            org=found.from_name,
        ),
        button=gettext("接受"),
        operation=lambda db, _: accept_group_transfer(db, decision.cipher, decision.scope, decision.id, []),
        message="",
        danger=False,
    )
    return {"acceptance": acceptance, "refusal": refusal}
