"""The jobs that write exports of reports; the worker runs them."""

from collections.abc import Mapping

from app.exports.jobs import export_job
from app.queue.jobs import Job
from app.reports.export import OVERVIEW, OWN_OVERVIEW, OWN_TREND, RANKING, TREND, UNITS

_KINDS = (OVERVIEW, OWN_OVERVIEW, TREND, OWN_TREND, UNITS, RANKING)

JOBS: Mapping[str, Job] = {name: job for kind in _KINDS for name, job in export_job(kind).items()}
