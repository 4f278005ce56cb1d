"""The QR scan, which is the OAuth device flow (RFC 8628):

1. The console asks for a code (`router`): `authorizations` stores it, the console shows the QR and a ticket opens the
   waiting stream (`tickets`, `events`).
2. The phone scans it (`scans_router`): the console shows a number, the phone sends it back and approves.
3. Each step notifies the waiting console (`watch`), which redeems its secret at the token endpoint.

Table: `device_authorizations`.
"""
