"""The QR scan, which is the OAuth device flow (RFC 8628):

1. The console requests a code (`router`). `authorizations` stores it, the console shows the QR code, and a ticket opens
   the event stream (`tickets`, `events`).
2. The phone scans the code (`scans_router`). The console shows a number, and the phone sends this number to approve.
3. Each step notifies the waiting console (`watch`), which redeems its device code at the token endpoint.

Table: `device_authorizations`.
"""
