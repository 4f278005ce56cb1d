"""The growth of costs with the size of the tree: the same rows over a world and over a world of twice its size.

Each row is a ratio to a peer in its own world. A read, a page of a ranking and the transaction of a transfer must keep
their cost. A rebuild is compared with a scan of the day rows, which are twice as many, and must keep its ratio.
"""

from collections.abc import Sequence

from bench.flat_reads import overview_flat, rank_flat
from bench.reads import read_org, read_overview
from bench.rows import Row
from bench.totals import totals_rebuild
from bench.transfers import move_50k

GROWING = (read_org, read_overview, overview_flat, rank_flat, move_50k, totals_rebuild)
WITHIN = 1.25
"""The ratio that counts as unchanged: rounds of such a short run differ by a tenth and more."""


def compare_growth(single: Sequence[Row], double: Sequence[Row]) -> list[Row]:
    """Return one row for each pair of rows: the ratio in the world of twice the size, divided by the ratio in the
    smaller world. Both sequences have the same measurements in the same order."""
    return [
        Row(
            f"grown_{row.name}",
            larger.ratio,
            row.ratio,
            larger.ratio / row.ratio,
            WITHIN if row.at_most else 1 / WITHIN,
            row.at_most,
            "the ratio in a world of twice the size / in the world",
            larger.cpu_ratio,
            row.cpu_ratio,
            larger.cpu_ratio / row.cpu_ratio if larger.cpu_ratio and row.cpu_ratio else None,
        )
        for row, larger in zip(single, double, strict=True)
    ]
