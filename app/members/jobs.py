"""The jobs of this feature, as the worker knows them."""

from collections.abc import Mapping

from app.exports.jobs import export_job
from app.jobs.queue import Job
from app.members import activation
from app.members.exporting import MEMBERS
from app.members.imports import jobs as imports

JOBS: Mapping[str, Job] = {**activation.JOBS, **imports.JOBS, **export_job(MEMBERS)}
