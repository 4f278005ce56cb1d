"""Undecided requests of all kinds, so that every call of the docs explorer has something to act on.

Applications, change requests, transfers and offers wait for the first admin, who can also withdraw some of their own.
Like the rest of the demo this module uses HTTP only, as the users who have the permission.
"""

from typing import Any

from devtools.demo.people import Person, fresh_id_card_number, fresh_name, fresh_phone, read_answer
from devtools.demo.sheet import fill_sample_sheet

Org = dict[str, Any]


class UndecidedRequests:
    """Creates the requests, one method for each group. `first` and `second` are the demo's two admins."""

    def __init__(self, first: Person, second: Person, org: Org, subordinate: Org, serial: int) -> None:
        self.first, self.second, self.third = first, second, Person(first.service, fresh_phone(), fresh_name())
        self.org, self.subordinate = org, subordinate
        self.serial = serial
        self.invitations: dict[str, str] = {}

    def create(self) -> None:
        other_org = self._create_org(self.second, "东风")
        self._create_promotions()
        self._create_admin_invitations(other_org)
        self._create_applications(other_org)
        self._create_transfers(other_org)
        self._create_mergers(other_org)
        self._create_change_requests()
        self._remove_member()
        self._create_link_requests(other_org)
        self._create_join_requests(other_org)
        self._create_removal_requests()
        self._create_person_transfers(other_org)
        self._create_group_transfers(other_org)
        self._begin_verification()
        self._upload_sheet()
        self._request_exports()

    def _create_org(self, admin: Person, name: str) -> Org:
        body = {"name": f"中共示范街道{self.serial}号{name}支部委员会", "region_code": "320102"}
        org: Org = admin.call("POST", "/v1/orgs", 201, json=body)
        return org

    def _get_invitation(self, admin: Person, org: Org) -> str:
        if org["id"] not in self.invitations:
            path = f"/v1/orgs/{org['id']}/invitations"
            created = admin.call("POST", path, 201, json={"max_uses": 20, "expires_in_hours": 24 * 90})
            self.invitations[org["id"]] = created["token"]
        return self.invitations[org["id"]]

    def _create_application(self, admin: Person, org: Org, host: Person, superior: Org) -> str:
        token = {"invitation_token": self._get_invitation(host, superior)}
        return str(admin.call("POST", f"/v1/orgs/{org['id']}/applications", 201, json=token)["id"])

    def _certify(self, admin: Person, org: Org, host: Person, superior: Org) -> Org:
        application = self._create_application(admin, org, host, superior)
        host.call("PUT", f"/v1/orgs/{superior['id']}/applications/{application}/approval", 200)
        return org

    def _create_promotions(self) -> None:
        """Create two promotions offered to the first admin, one offered by them, and an empty unit."""
        units = f"/v1/orgs/{self.subordinate['id']}/units"
        for name in ("先锋支部", "红旗支部"):
            unit = self.second.call("POST", units, 201, json={"name": name})
            offer = {
                "unit_id": unit["id"],
                "to": {"phone": self.first.phone},
                "name": f"{self.subordinate['name']}{name}",
            }
            self.second.call("POST", f"/v1/orgs/{self.subordinate['id']}/promotions", 201, json=offer)
        units = f"/v1/orgs/{self.org['id']}/units"
        offered = self.first.call("POST", units, 201, json={"name": "流动党员支部"})
        offer = {"unit_id": offered["id"], "to": {"phone": self.second.phone}, "name": f"{self.org['name']}流动党支部"}
        self.first.call("POST", f"/v1/orgs/{self.org['id']}/promotions", 201, json=offer)
        self.first.call("POST", units, 201, json={"name": "宣传部", "kind": "department"})

    def _create_admin_invitations(self, other_org: Org) -> None:
        """Create two admin invitations that wait: the first admin invites a second admin to this org, and another org
        invites the first admin."""
        other = self._create_org(self.second, "前进")
        for org in (other_org, other):
            self._invite_admin(self.second, org, self.first.phone)
        self._invite_admin(self.first, self.org, fresh_phone())
        for host, org, guest in (
            (self.first, self.org, self.second),
            (self.second, self._create_org(self.second, "团结"), self.first),
        ):
            invitation = self._invite_admin(host, org, guest.phone)
            guest.call("PUT", f"/v1/me/admin-invitations/{invitation}/acceptance", 200)

    @staticmethod
    def _invite_admin(host: Person, org: Org, phone: str) -> str:
        created = host.call("POST", f"/v1/orgs/{org['id']}/admin-invitations", 201, json={"phone": phone})
        return str(created["id"])

    def _create_applications(self, other_org: Org) -> None:
        """Create two applications to decide, one to withdraw, and an org that can be closed."""
        for name in ("光明", "和平"):
            self._create_application(self.second, self._create_org(self.second, name), self.first, self.org)
        self._create_application(self.first, self._create_org(self.first, "朝阳"), self.second, other_org)
        self._create_org(self.first, "晨曦")
        closed = self._create_org(self.first, "秦岭")
        self.first.call("PUT", f"/v1/orgs/{closed['id']}/closure", 200)

    def _create_transfers(self, other_org: Org) -> None:
        """Create transfers: one to release, one to refuse, one released to this org, one to withdraw."""
        leaving = [self._create_org(self.second, name) for name in ("长江", "黄河", "珠江")]
        own_org = self._create_org(self.first, "泰山")
        for admin, org in ((self.second, leaving[0]), (self.second, leaving[1]), (self.first, own_org)):
            self._certify(admin, org, self.first, self.org)
            self._request_transfer(admin, org, self._get_invitation(self.second, other_org))
        origin = self._create_org(self.second, "昆仑")
        arriving = self._certify(self.second, self._create_org(self.second, "天山"), self.second, origin)
        transfer = self._request_transfer(self.second, arriving, self._get_invitation(self.first, self.org))
        path = f"/v1/orgs/{origin['id']}/transfers/{transfer}"
        preview = {"preview": self.second.call("GET", path, 200)["preview"]["version"]}
        self.second.call("PUT", f"{path}/release", 200, json=preview)

    def _create_mergers(self, other_org: Org) -> None:
        """Create two mergers to decide, one to withdraw, and an org that can ask for one."""
        for admin, name, to in (
            (self.second, "淮河", self.org),
            (self.second, "海河", self.org),
            (self.first, "衡山", other_org),
        ):
            org = self._create_org(admin, name)
            admin.call("POST", f"/v1/orgs/{org['id']}/mergers", 201, json={"org_id": to["id"]})
        self._create_org(self.first, "华山")

    @staticmethod
    def _request_transfer(admin: Person, org: Org, token: str) -> str:
        created = admin.call("POST", f"/v1/orgs/{org['id']}/transfers", 201, json={"invitation_token": token})
        return str(created["id"])

    def _create_change_requests(self) -> None:
        """Create two renames to decide and one to withdraw."""
        for admin, name in ((self.second, "松花江"), (self.second, "珠江"), (self.first, "华山")):
            org = self._certify(admin, self._create_org(admin, name), self.first, self.org)
            body = {"kind": "rename", "name": f"{org['name']}(新)", "reason": "街道合并"}
            admin.call("POST", f"/v1/orgs/{org['id']}/change-requests", 201, json=body)

    def _remove_member(self) -> None:
        """Remove a member, who can be restored."""
        people = f"/v1/orgs/{self.org['id']}/members"
        added = self.first.call("POST", people, 201, json={"name": fresh_name(), "phone": fresh_phone()})
        self.first.call("DELETE", f"{people}/{added['id']}", 204)

    def _create_link_requests(self, other_org: Org) -> None:
        """Create two link requests, and a member row that the first admin can request."""
        for _ in range(2):
            requester = Person(self.first.service, fresh_phone(), fresh_name())
            row = {"name": requester.name, "phone": fresh_phone()}
            self.first.call("POST", f"/v1/orgs/{self.org['id']}/members", 201, json=row)
            requester.register()
            requester.verify()
            requester.call("POST", "/v1/me/link-requests", 201, json={"org_id": self.org["id"]})
        self.first.call("POST", "/v1/me/link-requests", 201, json={"org_id": other_org["id"]})

    def _create_join_requests(self, other_org: Org) -> None:
        """Create a link to join, two requests to decide and one to withdraw."""
        link = self.first.call("POST", f"/v1/orgs/{self.org['id']}/join-links", 201, json={})
        for _ in range(2):
            asker = Person(self.first.service, fresh_phone(), fresh_name())
            asker.register()
            asker.verify()
            asker.call("PATCH", "/v1/me", 200, json={"party_member": True})
            asker.call("POST", "/v1/me/join-requests", 201, json={"link_token": link["token"]})
        self.first.call("POST", "/v1/me/join-requests", 201, json={"org_id": other_org["id"]})

    def _create_removal_requests(self) -> None:
        """Create two removal requests to decide, one to withdraw, a directory to be removed from, and a blocked org."""
        for _ in range(2):
            leaving = Person(self.first.service, fresh_phone(), fresh_name())
            row = {"name": leaving.name, "phone": leaving.phone}
            self.first.call("POST", f"/v1/orgs/{self.org['id']}/members", 201, json=row)
            leaving.register()
            leaving.call("POST", "/v1/me/removal-requests", 201, json={"org_id": self.org["id"]})
        row = {"name": self.first.name, "phone": self.first.phone}
        orgs = [self._create_org(self.second, name) for name in ("珠江", "淮河", "海河")]
        for org in orgs:
            self.second.call("POST", f"/v1/orgs/{org['id']}/members", 201, json=row)
        self.first.call("POST", "/v1/me/removal-requests", 201, json={"org_id": orgs[0]["id"]})
        self.first.call("PUT", f"/v1/me/blocked-orgs/{orgs[2]['id']}", 204)

    def _create_person_transfers(self, other_org: Org) -> None:
        """Create two person transfers to decide and one to withdraw."""
        for admin, org, to in ((self.second, other_org, self.org),) * 2 + ((self.first, self.org, other_org),):
            people = f"/v1/orgs/{org['id']}/members"
            member = admin.call("POST", people, 201, json={"name": fresh_name(), "phone": fresh_phone()})
            admin.call("POST", f"{people}/{member['id']}/transfers", 201, json={"org_id": to["id"]})

    def _create_group_transfers(self, other_org: Org) -> None:
        """Create two transfers of several people to decide and one to withdraw."""
        third_org = self._create_org(self.second, "汾河")
        for admin, org, to in (
            (self.second, third_org, self.org),
            (self.second, other_org, self.org),
            (self.first, self.org, other_org),
        ):
            path = f"/v1/orgs/{org['id']}"
            people = [{"name": fresh_name(), "phone": fresh_phone()} for _ in range(2)]
            members = [admin.call("POST", f"{path}/members", 201, json=person)["id"] for person in people]
            admin.call("POST", f"{path}/group-transfers", 201, json={"org_id": to["id"], "member_ids": members})

    def _begin_verification(self) -> None:
        """Begin a verification that waits for Alipay."""
        self.third.register()
        given = {"method": "alipay", "name": self.third.name, "id_number": fresh_id_card_number()}
        begun = self.third.call("POST", "/v1/me/verifications", 201, json=given)
        self.third.service.get(begun["redirect_url"], follow_redirects=False)

    def _upload_sheet(self) -> None:
        """Upload a sheet that waits for confirmation."""
        imports = f"/v1/orgs/{self.org['id']}/imports"
        headers = {"Authorization": f"Bearer {self.first.token}"}
        template = self.first.service.get(f"{imports}/template", headers=headers)
        read_answer(template, 200)
        files = {"file": ("waiting.xlsx", fill_sample_sheet(template.content, 3))}
        self.first.call("POST", imports, 202, files=files, data={"unknown_units": "create"})

    def _request_exports(self) -> None:
        """Request two exports, one of which can be deleted, and a copy of the first administrator's data."""
        path = f"/v1/orgs/{self.org['id']}"
        for form in ("csv", "xlsx"):
            export = self.first.call("POST", f"{path}/members/exports", 202, json={"format": form})
            self.first.wait_for_state(f"{path}/exports/{export['id']}", {"done"})
        copy = self.first.call("POST", "/v1/me/data-copies", 202)
        self.first.wait_for_state(f"/v1/me/data-copies/{copy['id']}", {"done"})
