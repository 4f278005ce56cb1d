"""Security keys (WebAuthn): registration, and proof in a session. Tables: `security_keys`, `security_key_challenges`.
Entry point: `router`.
"""
