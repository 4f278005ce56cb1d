"""Run all clean-ups in turn, as the worker does."""

from sqlalchemy.ext.asyncio import AsyncEngine

from app.worker.retention import CLEAN_UPS, run_clean_up


async def clean_up(engine: AsyncEngine) -> dict[str, int]:
    """Run every clean-up of the registry; return the number deleted by each."""
    return {entry.name: await run_clean_up(engine, entry) for entry in CLEAN_UPS}
