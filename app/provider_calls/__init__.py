"""What the clients of outside providers (SMS, identity) share: the HTTP client, the settings, the signature of
Tencent Cloud.

It knows no provider's meaning: `app.sms` and `app.identity` turn an answer into theirs. No tables.
"""
