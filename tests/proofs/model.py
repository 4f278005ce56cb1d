"""The domain in plain Python: the expected answer of each call, and the expected state of the database after it.

It uses neither HTTP nor SQL. A method does what the call of its name does, or raises Refused with the status and slug
of the expected answer. A person is a number.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

PersonId = int


class Refused(Exception):
    def __init__(self, status: int, slug: str) -> None:
        super().__init__(f"{status} {slug}")
        self.answer = (status, slug)


class Repeated(Exception):
    """The same side has decided so before: the call succeeds and changes nothing."""


CLOSED = (409, "org-closed")


@dataclass(eq=False)
class Org:
    """`members` has every present and former admin, because a former admin stays in the directory."""

    name: str
    main: PersonId
    admins: set[PersonId]
    members: set[PersonId]
    superior: "Org | None" = None
    edge: int = 0  # the number of superiors that it has had, which identifies the edge
    closed: bool = False
    closing_requested: bool = False
    former_superior: "Org | None" = None  # at the time of the closing
    has_invitation: bool = True
    pending_changes: dict[str, "Change"] = field(default_factory=dict)
    id: str = ""

    def walk_ancestors(self) -> Iterator["Org"]:
        """Yield this org, then its superior, and so on to the root."""
        org: Org | None = self
        while org is not None:
            yield org
            org = org.superior

    def is_in_subtree_of(self, other: "Org") -> bool:
        return other in self.walk_ancestors()


@dataclass(eq=False)
class Application:
    org: Org
    superior: Org
    state: str = "pending"
    edge: int = 0  # the edge that its approval began
    refused: bool = False  # by the superior's admins
    id: str = ""


@dataclass(eq=False)
class Transfer:
    org: Org
    old: Org
    new: Org
    edge: int
    seen: tuple[list[Org], list[Org]]
    state: str = "pending"
    released: bool = False
    refused_by: PersonId | None = None
    id: str = ""
    preview: str = ""

    def is_stale(self) -> bool:
        return (list(self.old.walk_ancestors()), list(self.new.walk_ancestors())) != self.seen


@dataclass(eq=False)
class Change:
    org: Org
    kind: str
    before: str | PersonId
    after: str | PersonId
    state: str = "pending"
    decided_for: Org | None = None  # the superior whose admin decided
    id: str = ""


@dataclass(eq=False)
class Promotion:
    org: Org
    name: str
    invited: PersonId
    state: str = "pending"
    id: str = ""


class Model:
    def __init__(self) -> None:
        self.orgs: list[Org] = []
        self.applications: list[Application] = []
        self.transfers: list[Transfer] = []
        self.changes: list[Change] = []
        self.promotions: list[Promotion] = []

    # Authorization: 404 if the caller cannot see the org, 403 if the role is too small, 409 if the org is closed.

    def _authorize(self, caller: PersonId, org: Org, *, main: bool = False, visible_to_members: bool = False) -> None:
        admin = caller in org.admins
        sees = admin or (
            visible_to_members
            and (caller in org.members or any(caller in ancestor.admins for ancestor in org.walk_ancestors()))
        )
        if not sees:
            raise Refused(404, "not-found")
        if not admin or (main and caller != org.main):
            raise Refused(403, "forbidden")
        if org.closed:
            raise Refused(*CLOSED)

    def _list_subordinates(self, org: Org) -> list[Org]:
        return [other for other in self.orgs if other.superior is org]

    def _require_free_name(self, superior: Org, name: str) -> None:
        if any(other.name == name for other in self._list_subordinates(superior)):
            raise Refused(409, "sibling-name-taken")

    def _list_pending_transfers(self, org: Org) -> list[Transfer]:
        return [t for t in self.transfers if t.state == "pending" and org in (t.org, t.new)]

    def _begin_edge(self, org: Org, superior: Org) -> None:
        if superior.is_in_subtree_of(org):
            raise Refused(409, "would-close-circle")
        self._require_free_name(superior, org.name)
        org.superior, org.edge = superior, org.edge + 1

    def _end_edge(self, org: Org) -> None:
        org.superior = None
        for transfer in self._list_pending_transfers(org):
            if transfer.org is org:
                transfer.state = "superseded"

    # Orgs

    def create(self, caller: PersonId, name: str) -> Org:
        self.orgs.append(Org(name, caller, {caller}, {caller}))
        return self.orgs[-1]

    def close(self, caller: PersonId, org: Org) -> None:
        if org.closed and caller == org.main:
            raise Repeated
        self._authorize(caller, org, visible_to_members=True)
        if org.closing_requested and caller != org.main:
            raise Repeated
        if self._list_subordinates(org):
            raise Refused(409, "org-has-subordinates")
        if caller != org.main:
            org.closing_requested = True
            return
        org.former_superior = org.superior
        self._end_edge(org)
        org.closed, org.closing_requested, org.has_invitation = True, False, False
        for transfer in self._list_pending_transfers(org):
            transfer.state = "declined"
        for application in self.applications:
            if application.state == "pending" and org in (application.org, application.superior):
                application.state = "withdrawn" if application.org is org else "declined"
        for change in org.pending_changes.values():
            change.state = "withdrawn"
        org.pending_changes.clear()
        for promotion in self.promotions:
            if promotion.org is org and promotion.state == "pending":
                promotion.state = "withdrawn"

    def take_closing_back(self, caller: PersonId, org: Org) -> None:
        """Withdraw or decline the request to close the org, or open the closed org."""
        if caller not in org.admins:
            raise Refused(404, "not-found")
        if not org.closed and not org.closing_requested:
            raise Refused(404, "not-found")
        if org.closed and caller != org.main:
            raise Refused(403, "main-admin-only")
        if org.closed and org.former_superior is not None:
            self._return_to_former_superior(org, org.former_superior)
        org.closed = org.closing_requested = False

    def invite(self, caller: PersonId, org: Org) -> None:
        self._authorize(caller, org, visible_to_members=True)
        org.has_invitation = True

    def _return_to_former_superior(self, org: Org, superior: Org) -> None:
        if not superior.closed:
            with suppress(Refused):  # a subordinate of the superior has the name now
                self._begin_edge(org, superior)

    # Certification

    def apply(self, caller: PersonId, org: Org, superior: Org) -> Application:
        self._authorize(caller, org, visible_to_members=True)
        if any(a.org is org and a.state == "pending" for a in self.applications):
            raise Refused(409, "application-open")
        if not superior.has_invitation:
            raise Refused(404, "invitation-unknown")
        if org.superior is not None:
            raise Refused(409, "already-certified")
        if superior.is_in_subtree_of(org):
            raise Refused(409, "would-close-circle")
        self.applications.append(Application(org, superior))
        return self.applications[-1]

    def approve(self, caller: PersonId, application: Application) -> None:
        self._authorize(caller, application.superior, visible_to_members=True)
        if application.org.closed:
            raise Refused(*CLOSED)
        org = application.org
        if application.state == "live" and org.superior is application.superior and org.edge == application.edge:
            raise Repeated
        self._require_undecided(application)
        self._begin_edge(org, application.superior)
        application.state, application.edge = "live", org.edge

    def refuse(self, caller: PersonId, application: Application) -> None:
        self._authorize(caller, application.superior, visible_to_members=True)
        if application.refused:
            raise Repeated
        self._require_undecided(application)
        application.state, application.refused = "declined", True

    def withdraw(self, caller: PersonId, application: Application) -> None:
        self._authorize(caller, application.org, visible_to_members=True)
        self._require_undecided(application)
        application.state = "withdrawn"

    def _require_undecided(self, application: Application) -> None:
        if application.state != "pending":
            raise Refused(409, "application-decided")

    def release(self, caller: PersonId, superior: Org, org: Org) -> None:
        self._authorize(caller, superior, visible_to_members=True)
        if org.superior is not superior:
            raise Refused(404, "not-found")
        self._end_edge(org)
        for kind in ("rename", "hand-over"):
            if kind in org.pending_changes:
                self._carry_out_or_supersede(org.pending_changes.pop(kind))

    # Transfers

    def request_transfer(self, caller: PersonId, org: Org, new: Org) -> Transfer:
        self._authorize(caller, org, main=True)
        if any(transfer.org is org for transfer in self._list_pending_transfers(org)):
            raise Refused(409, "transfer-open")
        if not new.has_invitation:
            raise Refused(404, "invitation-unknown")
        if org.superior is None:
            raise Refused(409, "no-superior")
        if org.superior is new:
            raise Refused(409, "same-superior")
        if new.is_in_subtree_of(org):
            raise Refused(409, "would-close-circle")
        self._require_free_name(new, org.name)
        seen = (list(org.superior.walk_ancestors()), list(new.walk_ancestors()))
        self.transfers.append(Transfer(org, org.superior, new, org.edge, seen))
        return self.transfers[-1]

    def release_org_to_new_superior(self, caller: PersonId, transfer: Transfer) -> None:
        self._authorize(caller, transfer.old)
        self._require_open(transfer)
        if transfer.state == "pending" and transfer.released:
            raise Repeated
        if transfer.is_stale():
            raise Refused(409, "preview-stale")
        if transfer.state != "pending":
            raise Refused(409, "transfer-decided")
        transfer.released = True

    def accept_transfer(self, caller: PersonId, transfer: Transfer) -> None:
        self._authorize(caller, transfer.new)
        self._require_open(transfer)
        if transfer.state == "pending" and not transfer.released:
            raise Refused(409, "transfer-not-released")
        if transfer.state == "accepted":
            raise Repeated
        self._require_pending(transfer)
        if transfer.is_stale():
            raise Refused(409, "preview-stale")
        self._require_free_name(transfer.new, transfer.org.name)
        transfer.state = "accepted"
        transfer.org.superior = None
        self._begin_edge(transfer.org, transfer.new)

    def refuse_transfer(self, caller: PersonId, transfer: Transfer, decider: Org) -> None:
        self._authorize(caller, decider)
        self._require_open(transfer)
        if transfer.refused_by in decider.admins:
            raise Repeated
        self._require_pending(transfer)
        transfer.state, transfer.refused_by = "declined", caller

    def withdraw_transfer(self, caller: PersonId, transfer: Transfer) -> None:
        self._authorize(caller, transfer.org, main=True)
        self._require_pending(transfer)
        transfer.state = "withdrawn"

    def _require_open(self, transfer: Transfer) -> None:
        if transfer.org.closed:
            raise Refused(*CLOSED)

    def _require_pending(self, transfer: Transfer) -> None:
        if transfer.state != "pending":
            raise Refused(409, "transfer-decided")

    # Admins

    def appoint(self, caller: PersonId, org: Org, person: PersonId) -> None:
        """Invite the person, who accepts at once."""
        self._authorize(caller, org, main=True)
        if person in org.admins:
            raise Refused(409, "already-admin")
        org.admins.add(person)
        org.members.add(person)

    def remove(self, caller: PersonId, org: Org, person: PersonId) -> None:
        self._authorize(caller, org, main=True)
        if person == caller:
            raise Refused(409, "main-admin-stays")
        if person not in org.admins:
            raise Refused(404, "not-found")
        self._leave_office(org, person)

    def resign(self, caller: PersonId, org: Org) -> None:
        self._authorize(caller, org)
        if caller == org.main:
            raise Refused(409, "main-admin-stays")
        self._leave_office(org, caller)

    def _leave_office(self, org: Org, person: PersonId) -> None:
        org.admins.remove(person)
        for kind in ("hand-over", "recovery"):
            if kind in org.pending_changes and org.pending_changes[kind].after == person:
                org.pending_changes.pop(kind).state = "superseded"

    # Changes that a superior consents to

    def request_rename(self, caller: PersonId, org: Org, name: str) -> Change:
        self._authorize(caller, org)
        if name == org.name:
            raise Refused(409, "name-unchanged")
        return self._request(Change(org, "rename", org.name, name))

    def request_hand_over(self, caller: PersonId, org: Org, person: PersonId) -> Change:
        self._authorize(caller, org)
        if caller != org.main:
            raise Refused(403, "main-admin-only")
        self._require_successor(org, person)
        return self._request(Change(org, "hand-over", org.main, person))

    def request_recovery(self, caller: PersonId, org: Org, person: PersonId) -> Change:
        self._authorize(caller, org)
        if caller == org.main:
            raise Refused(409, "main-admin-stays")
        self._require_successor(org, person)
        return self._request(Change(org, "recovery", org.main, person))

    def _require_successor(self, org: Org, person: PersonId) -> None:
        if person == org.main:
            raise Refused(409, "already-main-admin")
        if len(org.admins) == 1:
            raise Refused(409, "sole-admin")
        if person not in org.admins:
            raise Refused(409, "not-an-admin")

    def _request(self, change: Change) -> Change:
        org, waiting = change.org, change.org.pending_changes.get(change.kind)
        if org.superior is None and change.kind != "recovery":
            assert waiting is None, "without a superior no request can be pending"
            self._carry_out(change)
        else:
            if change.kind == "rename" and org.superior is not None:
                self._require_free_name(org.superior, str(change.after))
            if waiting is not None:
                raise Refused(409, "change-request-open")
            org.pending_changes[change.kind] = change
        self.changes.append(change)
        return change

    def _carry_out(self, change: Change) -> None:
        if change.kind == "rename":
            change.org.name = str(change.after)
        else:
            change.org.main = int(change.after)
            self._supersede_main_admin_changes(change)
        change.state = "accepted"

    def _supersede_main_admin_changes(self, accepted: Change) -> None:
        for kind in ("hand-over", "recovery"):
            other = accepted.org.pending_changes.get(kind)
            if other is not None and other is not accepted:
                accepted.org.pending_changes.pop(kind).state = "superseded"

    def approve_change(self, caller: PersonId, superior: Org, change: Change) -> None:
        self._require_decider(caller, superior, change, "accepted")
        org = change.org
        if change.kind == "rename" and not self._is_stale(change):
            self._require_free_name(superior, str(change.after))
        del org.pending_changes[change.kind]
        if not self._carry_out_or_supersede(change):
            raise Refused(409, "change-request-stale")
        change.decided_for = superior

    def _carry_out_or_supersede(self, change: Change) -> bool:
        if self._is_stale(change):
            change.state = "superseded"
            return False
        self._carry_out(change)
        return True

    def _is_stale(self, change: Change) -> bool:
        org = change.org
        if change.kind == "rename":
            return change.before != org.name
        return change.before != org.main or change.after not in org.admins

    def refuse_change(self, caller: PersonId, superior: Org, change: Change) -> None:
        self._require_decider(caller, superior, change, "declined")
        change.state, change.decided_for = "declined", superior
        del change.org.pending_changes[change.kind]

    def _require_decider(self, caller: PersonId, superior: Org, change: Change, state: str) -> None:
        self._authorize(caller, superior)
        if change.org.superior is not superior:
            raise Refused(404, "not-found")
        if change.state == state and change.decided_for is superior:
            raise Repeated
        if change.state != "pending":
            raise Refused(409, "change-request-decided")

    def withdraw_change(self, caller: PersonId, change: Change) -> None:
        self._authorize(caller, change.org)
        if change.kind == "hand-over" and caller != change.org.main:
            raise Refused(403, "main-admin-only")
        if change.state != "pending":
            raise Refused(409, "change-request-decided")
        change.state = "withdrawn"
        del change.org.pending_changes[change.kind]

    # A unit becomes an org

    def offer_promotion(self, caller: PersonId, org: Org, name: str, to: PersonId) -> Promotion:
        self._authorize(caller, org)
        self._require_free_name(org, name)
        self.promotions.append(Promotion(org, name, to))
        return self.promotions[-1]

    def accept_promotion(self, caller: PersonId, promotion: Promotion) -> Org:
        if caller != promotion.invited:
            raise Refused(404, "not-found")
        if promotion.org.closed:
            raise Refused(*CLOSED)
        if promotion.state == "accepted":
            raise Repeated
        if promotion.state != "pending":
            raise Refused(409, "promotion-decided")
        self._require_free_name(promotion.org, promotion.name)
        promotion.state = "accepted"
        created = self.create(caller, promotion.name)
        created.superior, created.edge = promotion.org, 1
        return created
