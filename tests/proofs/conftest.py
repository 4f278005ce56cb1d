from collections.abc import AsyncIterator

import pytest

from tests.conftest import migrated_database
from tests.proofs.stage import Stage, stage


@pytest.fixture(scope="session")
def stage_url(server_url: str, worker_id: str) -> str:
    return migrated_database(server_url, f"stage_{worker_id}")


@pytest.fixture(scope="session")
async def on_stage(stage_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """From which things can be taken away, and which is set back."""
    async with stage(stage_url, tmp_path_factory.mktemp("stage")) as made:
        yield made
