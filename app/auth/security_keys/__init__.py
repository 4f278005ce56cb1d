"""Security keys (WebAuthn): adding one, proving one in a session. Tables: `security_keys`, `security_key_challenges`.
Door: `router`.
"""
