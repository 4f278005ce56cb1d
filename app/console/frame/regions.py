"""The regions that match a typed text, as choices."""

from collections.abc import Sequence

from app.console.frame.templates import Context
from app.orgs.regions import Region


class RegionsFound(Context, template="frame/regions.html"):
    regions: Sequence[Region]
    chosen: str = ""
    """The code of the chosen region."""
