"""The jobs of this package for the worker, by name."""

from collections.abc import Mapping

from app.exports.jobs import export_job
from app.members import activation
from app.members.export import MEMBERS
from app.members.imports import jobs as imports
from app.queue.jobs import Job

JOBS: Mapping[str, Job] = {**activation.JOBS, **imports.JOBS, **export_job(MEMBERS)}
