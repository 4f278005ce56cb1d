"""The tests. While they and the service are imported nobody looks for garbage, as in a process that starts
(`app.starting`); `conftest` lets it be looked for again once they are collected."""

import gc

gc.disable()
