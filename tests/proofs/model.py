"""The domain in plain Python: what each call must answer, and what must stand in the database after it.

It knows nothing of HTTP or SQL. A method does what the call of its name does, or raises Refused with the status and
slug that the call must answer. People are numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

Who = int


class Refused(Exception):  # noqa: N818 — a fact
    def __init__(self, status: int, slug: str) -> None:
        super().__init__(f"{status} {slug}")
        self.answer = (status, slug)


CLOSED = (409, "org-closed")


@dataclass(eq=False)
class Org:
    """`members` holds whoever was ever its admin: they stay in its directory."""

    name: str
    main: Who
    admins: set[Who]
    members: set[Who]
    superior: "Org | None" = None
    edge: int = 0  # counts the edges it has had: which one it is
    closed: bool = False
    asked: dict[str, "Change"] = field(default_factory=dict)
    id: str = ""

    def above(self) -> Iterator["Org"]:
        """Itself and the orgs above it, nearest first."""
        org: Org | None = self
        while org is not None:
            yield org
            org = org.superior

    def stands_at_or_below(self, other: "Org") -> bool:
        return other in self.above()


@dataclass(eq=False)
class Application:
    org: Org
    above: Org
    state: str = "pending"
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
    id: str = ""
    preview: str = ""

    def stale(self) -> bool:
        return (list(self.old.above()), list(self.new.above())) != self.seen


@dataclass(eq=False)
class Change:
    org: Org
    kind: str
    before: str | Who
    after: str | Who
    state: str = "pending"
    id: str = ""


@dataclass(eq=False)
class Promotion:
    org: Org
    name: str
    to: Who
    state: str = "pending"
    id: str = ""


class Model:
    def __init__(self) -> None:
        self.orgs: list[Org] = []
        self.applications: list[Application] = []
        self.transfers: list[Transfer] = []
        self.changes: list[Change] = []
        self.promotions: list[Promotion] = []

    # Who is let in: unseen is 404, seen and not allowed 403, then whether the org is open at all.

    def _enter(self, who: Who, org: Org, *, main: bool = False, seen_by_all: bool = False) -> None:
        admin = who in org.admins
        sees = admin or (seen_by_all and (who in org.members or any(who in above.admins for above in org.above())))
        if not sees:
            raise Refused(404, "not-found")
        if not admin or (main and who != org.main):
            raise Refused(403, "forbidden")
        if org.closed:
            raise Refused(*CLOSED)

    def _below(self, org: Org) -> list[Org]:
        return [other for other in self.orgs if other.superior is org]

    def _refuse_sibling(self, above: Org, name: str) -> None:
        if any(other.name == name for other in self._below(above)):
            raise Refused(409, "sibling-name-taken")

    def _open_transfers(self, org: Org) -> list[Transfer]:
        return [t for t in self.transfers if t.state == "pending" and org in (t.org, t.new)]

    def _begin_edge(self, org: Org, above: Org) -> None:
        if above.stands_at_or_below(org):
            raise Refused(409, "would-close-circle")
        self._refuse_sibling(above, org.name)
        org.superior, org.edge = above, org.edge + 1

    def _end_edge(self, org: Org) -> None:
        org.superior = None
        for transfer in self._open_transfers(org):
            if transfer.org is org:
                transfer.state = "superseded"

    # Orgs

    def create(self, who: Who, name: str) -> Org:
        self.orgs.append(Org(name, who, {who}, {who}))
        return self.orgs[-1]

    def close(self, who: Who, org: Org) -> None:
        self._enter(who, org, seen_by_all=True)
        if self._below(org):
            raise Refused(409, "org-has-subordinates")
        self._end_edge(org)
        org.closed = True
        for transfer in self._open_transfers(org):
            transfer.state = "declined"
        for application in self.applications:
            if application.state == "pending" and org in (application.org, application.above):
                application.state = "withdrawn" if application.org is org else "declined"
        for change in org.asked.values():
            change.state = "withdrawn"
        org.asked.clear()
        for promotion in self.promotions:
            if promotion.org is org and promotion.state == "pending":
                promotion.state = "withdrawn"

    # Certification

    def apply(self, who: Who, org: Org, above: Org) -> Application:
        self._enter(who, org, seen_by_all=True)
        if any(a.org is org and a.state == "pending" for a in self.applications):
            raise Refused(409, "application-open")
        if above.closed:
            raise Refused(404, "invitation-unknown")
        if org.superior is not None:
            raise Refused(409, "already-certified")
        if above.stands_at_or_below(org):
            raise Refused(409, "would-close-circle")
        self.applications.append(Application(org, above))
        return self.applications[-1]

    def approve(self, who: Who, application: Application) -> None:
        self._enter(who, application.above, seen_by_all=True)
        if application.org.closed:
            raise Refused(*CLOSED)
        self._decide(application)
        self._begin_edge(application.org, application.above)
        application.state = "live"

    def refuse(self, who: Who, application: Application) -> None:
        self._enter(who, application.above, seen_by_all=True)
        self._decide(application)
        application.state = "declined"

    def withdraw(self, who: Who, application: Application) -> None:
        self._enter(who, application.org, seen_by_all=True)
        self._decide(application)
        application.state = "withdrawn"

    def _decide(self, application: Application) -> None:
        if application.state != "pending":
            raise Refused(409, "application-decided")

    def release(self, who: Who, above: Org, org: Org) -> None:
        self._enter(who, above, seen_by_all=True)
        if org.superior is not above:
            raise Refused(404, "not-found")
        self._end_edge(org)
        for kind in ("rename", "hand-over"):
            if kind in org.asked:
                self._make_or_supersede(org.asked.pop(kind))

    # Transfers

    def ask_transfer(self, who: Who, org: Org, new: Org) -> Transfer:
        self._enter(who, org, main=True)
        if any(transfer.org is org for transfer in self._open_transfers(org)):
            raise Refused(409, "transfer-open")
        if new.closed:
            raise Refused(404, "invitation-unknown")
        if org.superior is None:
            raise Refused(409, "no-superior")
        if org.superior is new:
            raise Refused(409, "same-superior")
        if new.stands_at_or_below(org):
            raise Refused(409, "would-close-circle")
        self._refuse_sibling(new, org.name)
        seen = (list(org.superior.above()), list(new.above()))
        self.transfers.append(Transfer(org, org.superior, new, org.edge, seen))
        return self.transfers[-1]

    def release_transfer(self, who: Who, transfer: Transfer) -> None:
        self._enter(who, transfer.old)
        self._refuse_closed(transfer)
        if transfer.stale():
            raise Refused(409, "preview-stale")
        if transfer.state != "pending" or transfer.released:
            raise Refused(409, "transfer-decided")
        transfer.released = True

    def accept_transfer(self, who: Who, transfer: Transfer) -> None:
        self._enter(who, transfer.new)
        self._refuse_closed(transfer)
        if transfer.state == "pending" and not transfer.released:
            raise Refused(409, "transfer-not-released")
        self._refuse_ended(transfer)
        if transfer.stale():
            raise Refused(409, "preview-stale")
        self._refuse_sibling(transfer.new, transfer.org.name)
        transfer.state = "accepted"
        transfer.org.superior = None
        self._begin_edge(transfer.org, transfer.new)

    def refuse_transfer(self, who: Who, transfer: Transfer, side: Org) -> None:
        self._enter(who, side)
        self._refuse_closed(transfer)
        self._refuse_ended(transfer)
        transfer.state = "declined"

    def withdraw_transfer(self, who: Who, transfer: Transfer) -> None:
        self._enter(who, transfer.org, main=True)
        self._refuse_ended(transfer)
        transfer.state = "withdrawn"

    def _refuse_closed(self, transfer: Transfer) -> None:
        if transfer.org.closed:
            raise Refused(*CLOSED)

    def _refuse_ended(self, transfer: Transfer) -> None:
        if transfer.state != "pending":
            raise Refused(409, "transfer-decided")

    # Admins

    def appoint(self, who: Who, org: Org, person: Who) -> None:
        """Invited, and accepted at once."""
        self._enter(who, org, main=True)
        if person in org.admins:
            raise Refused(409, "already-admin")
        org.admins.add(person)
        org.members.add(person)

    def remove(self, who: Who, org: Org, person: Who) -> None:
        self._enter(who, org, main=True)
        if person == who:
            raise Refused(409, "main-admin-stays")
        if person not in org.admins:
            raise Refused(404, "not-found")
        self._leave_office(org, person)

    def resign(self, who: Who, org: Org) -> None:
        self._enter(who, org)
        if who == org.main:
            raise Refused(409, "main-admin-stays")
        self._leave_office(org, who)

    def _leave_office(self, org: Org, person: Who) -> None:
        org.admins.remove(person)
        for kind in ("hand-over", "recovery"):
            if kind in org.asked and org.asked[kind].after == person:
                org.asked.pop(kind).state = "superseded"

    # Changes that a superior consents to

    def ask_rename(self, who: Who, org: Org, name: str) -> Change:
        self._enter(who, org)
        if name == org.name:
            raise Refused(409, "name-unchanged")
        return self._ask(Change(org, "rename", org.name, name))

    def ask_hand_over(self, who: Who, org: Org, person: Who) -> Change:
        self._enter(who, org)
        if who != org.main:
            raise Refused(403, "main-admin-only")
        self._see_that_they_can_take_over(org, person)
        return self._ask(Change(org, "hand-over", org.main, person))

    def ask_recovery(self, who: Who, org: Org, person: Who) -> Change:
        self._enter(who, org)
        if who == org.main:
            raise Refused(409, "main-admin-stays")
        self._see_that_they_can_take_over(org, person)
        return self._ask(Change(org, "recovery", org.main, person))

    def _see_that_they_can_take_over(self, org: Org, person: Who) -> None:
        if person == org.main:
            raise Refused(409, "already-main-admin")
        if len(org.admins) == 1:
            raise Refused(409, "sole-admin")
        if person not in org.admins:
            raise Refused(409, "not-an-admin")

    def _ask(self, change: Change) -> Change:
        org, waiting = change.org, change.org.asked.get(change.kind)
        if org.superior is None and change.kind != "recovery":
            assert waiting is None, "nobody decides it"
            self._make(change)
        else:
            if change.kind == "rename" and org.superior is not None:
                self._refuse_sibling(org.superior, str(change.after))
            if waiting is not None:
                raise Refused(409, "change-request-open")
            org.asked[change.kind] = change
        self.changes.append(change)
        return change

    def _make(self, change: Change) -> None:
        if change.kind == "rename":
            change.org.name = str(change.after)
        else:
            change.org.main = int(change.after)
        change.state = "accepted"

    def approve_change(self, who: Who, above: Org, change: Change) -> None:
        self._receive(who, above, change)
        org = change.org
        if change.kind == "rename" and not self._stale(change):
            self._refuse_sibling(above, str(change.after))
        del org.asked[change.kind]
        if not self._make_or_supersede(change):
            raise Refused(409, "change-request-stale")

    def _make_or_supersede(self, change: Change) -> bool:
        if self._stale(change):
            change.state = "superseded"
            return False
        self._make(change)
        return True

    def _stale(self, change: Change) -> bool:
        org = change.org
        if change.kind == "rename":
            return change.before != org.name
        return change.before != org.main or change.after not in org.admins

    def refuse_change(self, who: Who, above: Org, change: Change) -> None:
        self._receive(who, above, change)
        change.state = "declined"
        del change.org.asked[change.kind]

    def _receive(self, who: Who, above: Org, change: Change) -> None:
        self._enter(who, above)
        if change.org.superior is not above:
            raise Refused(404, "not-found")
        if change.state != "pending":
            raise Refused(409, "change-request-decided")

    def withdraw_change(self, who: Who, change: Change) -> None:
        self._enter(who, change.org)
        if change.kind == "hand-over" and who != change.org.main:
            raise Refused(403, "main-admin-only")
        if change.state != "pending":
            raise Refused(409, "change-request-decided")
        change.state = "withdrawn"
        del change.org.asked[change.kind]

    # A unit becomes an org

    def offer(self, who: Who, org: Org, name: str, to: Who) -> Promotion:
        self._enter(who, org)
        self._refuse_sibling(org, name)
        self.promotions.append(Promotion(org, name, to))
        return self.promotions[-1]

    def accept_promotion(self, who: Who, promotion: Promotion) -> Org:
        if who != promotion.to:
            raise Refused(404, "not-found")
        if promotion.org.closed:
            raise Refused(*CLOSED)
        if promotion.state != "pending":
            raise Refused(409, "promotion-decided")
        self._refuse_sibling(promotion.org, promotion.name)
        promotion.state = "accepted"
        made = self.create(who, promotion.name)
        made.superior, made.edge = promotion.org, 1
        return made
