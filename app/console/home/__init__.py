"""The home page: the inbox and each org's figures at a glance."""
