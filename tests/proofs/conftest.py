from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from app.authz import tokens
from tests.conftest import migrated_database
from tests.proofs.stage import Stage, open_stage


@pytest.fixture(scope="session")
def stage_url(server_url: str, worker_id: str) -> str:
    return migrated_database(server_url, f"stage_{worker_id}")


@pytest.fixture(scope="session")
async def stage(stage_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A service of its own, from which protections can be removed. The tokens of its people are valid for a day,
    because the service can run longer than ten minutes."""
    async with AsyncExitStack() as stack:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(tokens, "LIFETIME", 86_400)
            opened = await stack.enter_async_context(open_stage(stage_url, tmp_path_factory.mktemp("stage")))
        yield opened
