"""The tests. While they and the service are imported nobody looks for garbage, as in a process that starts
(`app.core.startup`); `conftest` lets it be looked for again once they are collected."""

import gc
import importlib.util
import sys

gc.disable()

# httpx looks for it anew in every folder at every call: nothing here runs on trio.
if importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]
