from collections.abc import AsyncIterator

import pytest

from tests.conftest import migrated_database
from tests.proofs.stage import Stage, open_stage


@pytest.fixture(scope="session")
def stage_url(server_url: str, worker_id: str) -> str:
    return migrated_database(server_url, f"stage_{worker_id}")


@pytest.fixture(scope="session")
async def stage(stage_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A service of its own, from which protections can be removed."""
    async with open_stage(stage_url, tmp_path_factory.mktemp("stage")) as opened:
        yield opened
