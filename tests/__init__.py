"""The tests. The garbage collector is disabled while they and the service are imported, as in a starting process
(`app.core.startup`). `conftest` enables it again after the collection."""

import gc
import importlib.util
import sys

gc.disable()

# httpx searches all directories for trio at every call; no test runs on trio.
if importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # None makes the import fail
