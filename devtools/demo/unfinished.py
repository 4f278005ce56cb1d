"""Undecided requests of all kinds, so that every call of the docs explorer has something to act on.

Applications, change requests, transfers and offers wait for the first admin, who can also withdraw some of their own.
Like the rest of the demo this module uses HTTP only, as the users who have the permission.
"""

from typing import Any

from devtools.demo.people import Person, answered, fresh_name, fresh_phone
from devtools.demo.sheet import sample_sheet

Org = dict[str, Any]


class Unfinished:
    """Creates the requests, one method for each group. `first` and `second` are the demo's two admins."""

    def __init__(self, first: Person, second: Person, org: Org, below: Org, serial: int) -> None:
        self.first, self.second, self.third = first, second, Person(first.service, fresh_phone(), fresh_name())
        self.org, self.below = org, below
        self.serial = serial
        self.invitations: dict[str, str] = {}

    def leave(self) -> None:
        elsewhere = self._made(self.second, "东风")
        self._matters_of_units()
        self._matters_of_admins(elsewhere)
        self._matters_of_certification(elsewhere)
        self._matters_of_transfers(elsewhere)
        self._change_requests()
        self._removed_member()
        self._link_requests(elsewhere)
        self._people_on_their_way(elsewhere)
        self._verification()
        self._upload()
        self._exports()

    def _made(self, admin: Person, name: str) -> Org:
        body = {"name": f"中共示范街道{self.serial}号{name}支部委员会", "region_code": "320102"}
        made: Org = admin.call("POST", "/v1/orgs", 201, json=body)
        return made

    def _invited_by(self, admin: Person, org: Org) -> str:
        if org["id"] not in self.invitations:
            path = f"/v1/orgs/{org['id']}/invitations"
            made = admin.call("POST", path, 201, json={"max_uses": 20, "expires_in_hours": 24 * 90})
            self.invitations[org["id"]] = made["token"]
        return self.invitations[org["id"]]

    def _applied(self, admin: Person, org: Org, host: Person, superior: Org) -> str:
        token = {"invitation_token": self._invited_by(host, superior)}
        return str(admin.call("POST", f"/v1/orgs/{org['id']}/applications", 201, json=token)["id"])

    def _certified(self, admin: Person, org: Org, host: Person, superior: Org) -> Org:
        applied = self._applied(admin, org, host, superior)
        host.call("PUT", f"/v1/orgs/{superior['id']}/applications/{applied}/approval", 200)
        return org

    def _matters_of_units(self) -> None:
        """Create two promotions offered to the first admin, one offered by them, and an empty unit."""
        units = f"/v1/orgs/{self.below['id']}/units"
        for name in ("先锋支部", "红旗支部"):
            unit = self.second.call("POST", units, 201, json={"name": name})
            offer = {"unit_id": unit["id"], "to": {"phone": self.first.phone}, "name": f"{self.below['name']}{name}"}
            self.second.call("POST", f"/v1/orgs/{self.below['id']}/promotions", 201, json=offer)
        units = f"/v1/orgs/{self.org['id']}/units"
        offered = self.first.call("POST", units, 201, json={"name": "流动党员支部"})
        offer = {"unit_id": offered["id"], "to": {"phone": self.second.phone}, "name": f"{self.org['name']}流动党支部"}
        self.first.call("POST", f"/v1/orgs/{self.org['id']}/promotions", 201, json=offer)
        self.first.call("POST", units, 201, json={"name": "宣传部", "kind": "department"})

    def _matters_of_admins(self, elsewhere: Org) -> None:
        """Create two invitations to the first admin, one by them, a second admin here, and an office in another org."""
        other = self._made(self.second, "前进")
        for org in (elsewhere, other):
            self._asked_to_be_admin(self.second, org, self.first.phone)
        self._asked_to_be_admin(self.first, self.org, fresh_phone())
        for host, org, guest in (
            (self.first, self.org, self.second),
            (self.second, self._made(self.second, "团结"), self.first),
        ):
            invited = self._asked_to_be_admin(host, org, guest.phone)
            guest.call("PUT", f"/v1/me/admin-invitations/{invited}/acceptance", 200)

    @staticmethod
    def _asked_to_be_admin(host: Person, org: Org, phone: str) -> str:
        made = host.call("POST", f"/v1/orgs/{org['id']}/admin-invitations", 201, json={"phone": phone})
        return str(made["id"])

    def _matters_of_certification(self, elsewhere: Org) -> None:
        """Create two applications to decide, one to withdraw, and an org that can be closed."""
        for name in ("光明", "和平"):
            self._applied(self.second, self._made(self.second, name), self.first, self.org)
        self._applied(self.first, self._made(self.first, "朝阳"), self.second, elsewhere)
        self._made(self.first, "晨曦")

    def _matters_of_transfers(self, elsewhere: Org) -> None:
        """Create transfers: one to release, one to refuse, one released to this org, one to withdraw."""
        going = [self._made(self.second, name) for name in ("长江", "黄河")]
        mine = self._made(self.first, "泰山")
        for admin, org in ((self.second, going[0]), (self.second, going[1]), (self.first, mine)):
            self._certified(admin, org, self.first, self.org)
            self._asked_to_move(admin, org, self._invited_by(self.second, elsewhere))
        origin = self._made(self.second, "昆仑")
        coming = self._certified(self.second, self._made(self.second, "天山"), self.second, origin)
        moving = self._asked_to_move(self.second, coming, self._invited_by(self.first, self.org))
        path = f"/v1/orgs/{origin['id']}/transfers/{moving}"
        preview = {"preview": self.second.call("GET", path, 200)["preview"]["version"]}
        self.second.call("PUT", f"{path}/release", 200, json=preview)

    @staticmethod
    def _asked_to_move(admin: Person, org: Org, token: str) -> str:
        made = admin.call("POST", f"/v1/orgs/{org['id']}/transfers", 201, json={"invitation_token": token})
        return str(made["id"])

    def _change_requests(self) -> None:
        """Create two renames to decide and one to withdraw."""
        for admin, name in ((self.second, "松花江"), (self.second, "珠江"), (self.first, "华山")):
            org = self._certified(admin, self._made(admin, name), self.first, self.org)
            body = {"kind": "rename", "name": f"{org['name']}(新)", "reason": "街道合并"}
            admin.call("POST", f"/v1/orgs/{org['id']}/change-requests", 201, json=body)

    def _removed_member(self) -> None:
        """Remove a member, who can be restored."""
        people = f"/v1/orgs/{self.org['id']}/members"
        added = self.first.call("POST", people, 201, json={"name": fresh_name(), "phone": fresh_phone()})
        self.first.call("DELETE", f"{people}/{added['id']}", 204)

    def _link_requests(self, elsewhere: Org) -> None:
        """Create two link requests, and a member row that the first admin can request."""
        for _ in range(2):
            asker = Person(self.first.service, fresh_phone(), fresh_name())
            row = {"name": asker.name, "phone": fresh_phone()}
            self.first.call("POST", f"/v1/orgs/{self.org['id']}/members", 201, json=row)
            asker.register()
            asker.verify()
            asker.call("POST", "/v1/me/link-requests", 201, json={"org_id": self.org["id"]})
        self.first.call("POST", "/v1/me/link-requests", 201, json={"org_id": elsewhere["id"]})

    def _people_on_their_way(self, elsewhere: Org) -> None:
        """Create two person transfers to decide and one to withdraw."""
        for admin, org, to in ((self.second, elsewhere, self.org),) * 2 + ((self.first, self.org, elsewhere),):
            people = f"/v1/orgs/{org['id']}/members"
            member = admin.call("POST", people, 201, json={"name": fresh_name(), "phone": fresh_phone()})
            admin.call("POST", f"{people}/{member['id']}/transfers", 201, json={"org_id": to["id"]})

    def _verification(self) -> None:
        """Begin a verification that waits for Alipay."""
        self.third.register()
        self.third.call("POST", "/v1/me/verifications", 201, json={"method": "alipay"})

    def _upload(self) -> None:
        """Upload a sheet that waits for confirmation."""
        imports = f"/v1/orgs/{self.org['id']}/imports"
        headers = {"Authorization": f"Bearer {self.first.token}"}
        template = self.first.service.get(f"{imports}/template", headers=headers)
        answered(template, 200)
        files = {"file": ("waiting.xlsx", sample_sheet(template.content, 3))}
        self.first.call("POST", imports, 202, files=files, data={"unknown_units": "create"})

    def _exports(self) -> None:
        """Request two exports; one of them can be deleted."""
        path = f"/v1/orgs/{self.org['id']}"
        for form in ("csv", "xlsx"):
            asked = self.first.call("POST", f"{path}/members/exports", 202, json={"format": form})
            self.first.wait(f"{path}/exports/{asked['id']}", {"done"})
