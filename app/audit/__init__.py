"""Reading an org's audit log. Door: `router`. Writing it is the package `audit_log`."""
