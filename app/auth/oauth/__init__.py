"""The OAuth protocol that all endpoints share: forms, client authentication, errors (RFC 6749 §5.2), grant types."""
