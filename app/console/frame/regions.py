"""The choice of a region: those that match a typed text, some at a time, and the way to the others."""

from collections.abc import Sequence
from urllib.parse import urlencode

from app.console.frame.templates import Context
from app.orgs.regions import Region, find_region, search_regions

_SHOWN = 12


class RegionChoices(Context, template="frame/regions.html"):
    """`left`: the number of regions after those that are shown, which `next_page` shows; `chosen`: the code of the
    chosen one."""

    regions: Sequence[Region]
    left: int
    next_page: str
    chosen: str = ""


def find_region_choices(address: str, wanted: str, chosen: str = "", after: str = "") -> RegionChoices:
    """Return the regions that match the typed text, after the one with the code `after`.

    The chosen region is among them, so that a form that is shown again does not lose it. `address` is the route that
    shows the next ones.
    """
    found = search_regions(wanted)
    start = next((place for place, region in enumerate(found, 1) if region.code == after), 0)
    shown = list(found[start : start + _SHOWN])
    left = len(found) - start - len(shown)
    next_page = f"{address}?{urlencode({'region': wanted, 'after': shown[-1].code})}" if left else ""
    chosen_region = find_region(chosen)
    if chosen_region is not None and chosen_region not in shown:
        shown.insert(0, chosen_region)
    return RegionChoices(regions=shown, left=left, next_page=next_page, chosen=chosen)
