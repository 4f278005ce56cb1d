"""The steps of the main job: each one is announced, run and checked."""

import io
import random
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import qrcode.main

from devtools.demo.people import Person, UnexpectedAnswer, expect, fresh_name, fresh_phone, read_answer
from devtools.demo.sheet import fill_sample_sheet
from devtools.demo.undecided_requests import UndecidedRequests

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


DESKTOP_SCOPES = ["account:read", "orgs:read", "orgs:write", "members:read", "members:write", "reports:read"]


class Play:
    """The steps in their order. Attributes carry the results from one step to the next."""

    def __init__(self, service: httpx.Client, sheet: Path | None) -> None:
        self.service = service
        self.sheet = sheet
        self.log: list[dict[str, Any]] = []
        self.first = Person(service, fresh_phone(), fresh_name())
        self.second = Person(service, fresh_phone(), fresh_name())
        self.console = ""
        self.org: dict[str, Any] = {}
        self.subordinate: dict[str, Any] = {}
        self.imported: list[Person] = []
        self.serial = random.randrange(10_000, 100_000)

    def run(self) -> bool:
        """Run every step. Raises UnexpectedAnswer at the first step with an unexpected answer."""
        for name, step in (
            ("register-and-verify", self.register_and_verify),
            ("create-org", self.create_org),
            ("sign-in-by-scan", self.sign_in_by_scan),
            ("import-sheet", self.import_sheet),
            ("certify", self.certify),
            ("activate-and-count-points", self.activate_and_count_points),
            ("read-reports", self.read_reports),
            ("leave-unfinished", self.create_undecided_requests),
        ):
            began = time.perf_counter()
            print(f"\n{len(self.log) + 1}. {name}")
            try:
                step()
                ok, error = True, None
            except (UnexpectedAnswer, httpx.HTTPError, KeyError, IndexError) as problem:
                ok, error = False, f"{type(problem).__name__}: {problem}"
                print(f"   ✗ {error}")
            entry = {"name": name, "seconds": round(time.perf_counter() - began, 3), "ok": ok}
            self.log.append(entry if error is None else entry | {"error": error})
            if not ok:
                return False
        return True

    def report(self, who: str, what: str) -> None:
        print(f"   {who}: {what}", flush=True)

    def register_and_verify(self) -> None:
        self.first.register()
        self.report("first administrator", "registers on the phone with a code by SMS")
        self.first.call("PATCH", "/v1/me", 200, json={"party_member": True})
        body = {"name": f"中共示范街道{self.serial}号社区委员会", "region_code": "320102"}
        self.first.expect_refusal("POST", "/v1/orgs", 403, "real-name-required", json=body)
        self.report("service", "refuses an org before real-name verification (403 real-name-required)")
        self.first.verify()
        self.report("first administrator", f"verifies by Alipay: {self.first.name}")

    def create_org(self) -> None:
        long = f"中国共产党江苏省南京市玄武区示范街道{self.serial}号社区委员会"
        checked = self.first.call("POST", "/v1/name-checks", 200, json={"name": long, "region_code": "320102"})
        expect(checked["errors"] == [], str(checked))
        proposed = checked["advice"][0]["proposed_name"]
        self.report("first administrator", f"checks a name of {len(long)} characters; advised: {proposed}")
        self.org = self.first.call("POST", "/v1/orgs", 201, json={"name": proposed, "region_code": "320102"})
        mine = self.first.call("GET", "/v1/me/orgs", 200)
        expect("main-admin" in next(org for org in mine["items"] if org["id"] == self.org["id"])["roles"], str(mine))
        self.report("first administrator", f"creates {proposed} ({self.org['region']}) and is its main admin")

    def sign_in_by_scan(self) -> None:
        metadata = read_answer(self.service.get("/.well-known/oauth-authorization-server"), 200)
        body = {"name": f"演示桌面端{self.serial}", "kind": "device", "scopes": DESKTOP_SCOPES}
        client = {"client_id": read_answer(self.service.post("/v1/simulator/clients", json=body), 200)["client_id"]}
        grant = read_answer(self.service.post(metadata["device_authorization_endpoint"], data=client), 200)
        self.report("desktop client", "asks for a QR code (RFC 8628), and shows it with the code " + grant["user_code"])
        print(draw_terminal_qr(grant["verification_uri_complete"]))
        form = client | {"grant_type": DEVICE_GRANT, "device_code": grant["device_code"]}
        waiting = read_answer(self.service.post(metadata["token_endpoint"], data=form), 400)
        expect(waiting["error"] == "authorization_pending", str(waiting))
        (scanned,) = parse_qs(urlsplit(grant["verification_uri_complete"]).query)["code"]
        scan = self.first.call("POST", "/v1/scans", 201, json={"code": scanned})
        self.report("phone", f"scans it, sees who asks: {scan['client']}, {scan['device']}, {scan['address']}")
        end = grant["user_code"][-4:]
        self.report("phone", f"takes the last four letters {end} from the screen and approves")
        self.first.call("PUT", f"/v1/scans/{scan['id']}/approval", 200, json={"user_code_end": end})
        self.console = read_answer(self.service.post(metadata["token_endpoint"], data=form), 200)["access_token"]
        self.report("desktop client", "exchanges its secret for tokens and is signed in")

    def import_sheet(self) -> None:
        console = Person(self.service, "", "", self.console)
        imports = f"/v1/orgs/{self.org['id']}/imports"
        template = self.service.get(f"{imports}/template", headers={"Authorization": f"Bearer {self.console}"})
        read_answer(template, 200)
        name, content = ("sample.xlsx", fill_sample_sheet(template.content))
        if self.sheet:
            name, content = self.sheet.name, self.sheet.read_bytes()
        self.report("console", f"downloads the template ({len(template.content)} bytes) and uploads {name}")
        uploaded = console.call("POST", imports, 202, files={"file": (name, content)}, data={"unknown_units": "create"})
        preview = console.wait_for_state(f"{imports}/{uploaded['id']}", {"ready"})
        self.report("console", f"sees the preview, with nothing written: {preview['counts']}")
        people = f"/v1/orgs/{self.org['id']}/members"
        expect(len(console.call("GET", people, 200)["items"]) == 1, "the preview wrote members")
        console.call("PUT", f"{imports}/{uploaded['id']}/confirmation", 202, json={"preview": preview["preview"]})
        done = console.wait_for_state(f"{imports}/{uploaded['id']}", {"done"})
        expect(done["counts"]["added"] == preview["counts"]["added"] > 3, str(done))
        self.report("worker", f"imports: {done['counts']}")
        rows = console.call("GET", f"{imports}/{uploaded['id']}/rows", 200, params={"limit": 3})["items"]
        self.report("console", f"reads the result of each row, such as {rows[0]['outcome']}")
        units = console.call("GET", f"/v1/orgs/{self.org['id']}/units", 200)["items"]
        expect(bool(units), "no units were made")
        listed = console.call("GET", people, 200, params={"limit": 10})["items"]
        expect(all("****" in member["phone"] for member in listed), "a phone is not masked in the list")
        self.report(
            "console", f"finds {len(units)} units and the people, masked: {listed[0]['name']} {listed[0]['phone']}"
        )
        for member in [member for member in listed if not member["active"]][:3]:
            disclosed = console.call("POST", f"{people}/{member['id']}/phone-disclosures", 200)
            self.imported.append(Person(self.service, disclosed["phone"], member["name"]))

    def certify(self) -> None:
        self.second.register()
        self.second.call("PATCH", "/v1/me", 200, json={"party_member": True})
        self.second.verify()
        body = {"name": f"中共示范街道{self.serial}号小区支部委员会", "region_code": "320102"}
        self.subordinate = self.second.call("POST", "/v1/orgs", 201, json=body)
        for _ in range(3):
            person = {"name": fresh_name(), "phone": fresh_phone()}
            self.second.call("POST", f"/v1/orgs/{self.subordinate['id']}/members", 201, json=person)
        self.report("second administrator", f"registers, creates {self.subordinate['name']} and adds three people")
        invited = self.first.call("POST", f"/v1/orgs/{self.org['id']}/invitations", 201, json={})
        self.report("first administrator", f"invites by link and QR: {invited['link'][:40]}…")
        token = {"invitation_token": invited["token"]}
        applied = self.second.call("POST", f"/v1/orgs/{self.subordinate['id']}/applications", 201, json=token)
        approval = f"/v1/orgs/{self.org['id']}/applications/{applied['id']}/approval"
        expect(self.first.call("PUT", approval, 200)["state"] == "live", "not certified")
        self.report("first administrator", "confirms the application: certified")
        back = self.second.call("POST", f"/v1/orgs/{self.subordinate['id']}/invitations", 201, json={})
        circle = {"invitation_token": back["token"]}
        path = f"/v1/orgs/{self.org['id']}/applications"
        self.first.expect_refusal("POST", path, 409, "would-close-circle", json=circle)
        self.report("service", "refuses the circle the other way round (409 would-close-circle)")

    def activate_and_count_points(self) -> None:
        for person in self.imported:
            person.register()
        active = self.first.call("GET", f"/v1/orgs/{self.org['id']}/members", 200, params={"active": "true"})["items"]
        names = {member["name"] for member in active}
        expect({person.name for person in self.imported} <= names, f"active are only {names}")
        self.report("three imported people", "register and turn active: " + "、".join(p.name for p in self.imported))
        service = read_answer(self.service.post("/v1/simulator/clients", json={"scopes": ["point-events:write"]}), 200)
        form = {"grant_type": "client_credentials", "scope": "point-events:write"}
        basic = (service["client_id"], service["client_secret"])
        token = read_answer(self.service.post("/oauth/token", data=form, auth=basic), 200)["access_token"]
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        events = [
            {
                "event_id": f"demo-{index}",
                "phone": person.phone,
                "points": 10 * (index + 1),
                "kind": "read",
                "occurred_at": now,
            }
            for index, person in enumerate(self.imported)
        ]
        points = Person(self.service, "", "", token)
        first = points.call("POST", "/v1/point-events", 200, json={"events": events})
        again = points.call("POST", "/v1/point-events", 200, json={"events": events})
        outcomes = [[item["outcome"] for item in answer["outcomes"]] for answer in (first, again)]
        expect(outcomes == [["counted"] * 3, ["duplicate"] * 3], str(outcomes))
        self.report("points service", "posts their point events twice with its own credentials: counted once")

    def read_reports(self) -> None:
        overview = self._wait_for_overview(points=60)
        subtree = overview["subtree"]
        expect(subtree["points"] >= 60 and subtree["active"] >= 3, str(subtree))
        subordinates = [
            row["figures"] for row in overview["subordinates"]["items"] if row["id"] == self.subordinate["id"]
        ]
        expect(subordinates[0]["members"] == 4, str(subordinates))
        units = self.first.call("GET", f"/v1/orgs/{self.org['id']}/reports/units", 200)["units"]
        self.report(
            "first administrator",
            f"reads the overview: {len(units)} units in full, "
            f"{self.subordinate['name']} as totals ({subordinates[0]['members']} people), "
            f"the subtree {subtree['members']} people",
        )
        self.first.expect_refusal("GET", f"/v1/orgs/{self.subordinate['id']}/members", 404, "not-found")
        self.report("service", "hides the subordinate's members from the superior (404)")
        member = self.imported[-1]
        for order in ("last-7-days", "total"):
            ranking = member.call("GET", f"/v1/orgs/{self.org['id']}/rankings", 200, params={"by": order})
            expect(ranking["me"]["points"] >= 30, str(ranking["me"]))
            self.report(member.name, f"reads the ranking by {order}: place {ranking['me']['rank']}")

    def create_undecided_requests(self) -> None:
        UndecidedRequests(self.first, self.second, self.org, self.subordinate, self.serial).create()
        self.report("docs explorer", f"has something to act on: sign in as the first administrator, {self.first.phone}")

    def _wait_for_overview(self, points: int) -> Any:
        """Read the overview until the subtree has these points, and return it. Totals include a write within
        seconds."""
        for _ in range(600):
            found = self.first.call("GET", f"/v1/orgs/{self.org['id']}/reports/overview", 200, params={"period": "7d"})
            if found["subtree"]["points"] >= points:
                break
            time.sleep(0.1)
        return found


def draw_terminal_qr(content: str) -> str:
    code: Any = qrcode.main.QRCode(border=2)
    code.add_data(content)
    drawn = io.StringIO()
    code.print_ascii(out=drawn)
    return drawn.getvalue()
