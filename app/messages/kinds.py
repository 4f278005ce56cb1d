"""The kinds of message."""

from enum import StrEnum


class MessageKind(StrEnum):
    """What a message reports. The `request-…` kinds are about a request of the reader's own. The last four are
    about the account, and name no org."""

    REQUEST_ACCEPTED = "request-accepted"
    REQUEST_DECLINED = "request-declined"
    REQUEST_WITHDRAWN = "request-withdrawn"
    REQUEST_EXPIRED = "request-expired"
    REQUEST_SUPERSEDED = "request-superseded"
    ORG_RELEASED = "org-released"
    ORG_TRANSFERRED = "org-transferred"
    ORG_CLOSED = "org-closed"
    ORG_MERGED = "org-merged"
    ORG_REOPENED = "org-reopened"
    SUBORDINATE_CLOSED = "subordinate-closed"
    SUBORDINATE_REOPENED = "subordinate-reopened"
    ADMIN_ADDED = "admin-added"
    ADMIN_REMOVED = "admin-removed"
    MAIN_ADMIN_RECEIVED = "main-admin-received"
    MAIN_ADMIN_REPLACED = "main-admin-replaced"
    ROW_LINKED = "row-linked"
    ROW_UNLINKED = "row-unlinked"
    ROW_REMOVED = "row-removed"
    UNIT_ENDED = "unit-ended"
    IMPORT_DONE = "import-done"
    IMPORT_FAILED = "import-failed"
    NEW_DEVICE = "new-device"
    SECURITY_KEY_ADDED = "security-key-added"
    SECURITY_KEYS_RECOVERED = "security-keys-recovered"
    PHONE_CHANGED = "phone-changed"
