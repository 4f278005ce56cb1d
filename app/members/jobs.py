"""The jobs of this feature, as the worker knows them."""

from collections.abc import Mapping

from app.jobs.queue import Job
from app.members.imports import jobs as imports

JOBS: Mapping[str, Job] = {**imports.JOBS}
