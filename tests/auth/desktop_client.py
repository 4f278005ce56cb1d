"""A desktop client that uses requests-oauth2client and knows only the issuer and its own client id.

It prints a line of JSON for each step.
"""

import json
import sys
from typing import Any

import httpx
from requests_oauth2client import DeviceAuthorizationPollingJob, OAuth2Client


def print_line(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main(issuer: str, client_id: str) -> None:
    metadata = httpx.get(f"{issuer}/.well-known/oauth-authorization-server", timeout=10).json()
    # The library's own discovery leaves the device endpoint out. `testing` allows http.
    endpoints = {
        name: metadata[name] for name in ("token_endpoint", "device_authorization_endpoint", "revocation_endpoint")
    }
    client = OAuth2Client(**endpoints, client_id=client_id, testing=True)
    device = client.authorize_device()
    print_line({"user_code": device.user_code, "verification_uri_complete": device.verification_uri_complete})
    job = DeviceAuthorizationPollingJob(client, device)
    tokens = None
    while tokens is None:
        tokens = job()

    def read(token: str) -> httpx.Response:
        return httpx.get(f"{issuer}/v1/me", headers={"Authorization": f"Bearer {token}"}, timeout=10)

    answer = read(tokens.access_token)
    print_line({"granted": answer.status_code, "subject": answer.json()["id"]})
    following = client.refresh_token(tokens)
    print_line({"refreshed": read(following.access_token).status_code})
    client.revoke_refresh_token(following)
    print_line({"revoked": read(following.access_token).status_code})


main(*sys.argv[1:])
