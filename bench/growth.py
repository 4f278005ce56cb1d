"""How cost grows with the tree: the same rows over a world and over one of twice its size.

Each is a ratio to a peer in its own world. A read, a ranking's page or the transaction of a transfer is to cost what it
cost; a rebuild is held against a scan of the day rows, which are twice as many, and is to keep its distance from it.
"""

from collections.abc import Sequence

from bench.flat import overview_flat, rank_flat
from bench.moves import move_50k
from bench.reads import read_org, read_overview
from bench.rows import Row
from bench.totals import totals_rebuild

GROWING = (read_org, read_overview, overview_flat, rank_flat, move_50k, totals_rebuild)
WITHIN = 1.25
"""What is called unchanged: rounds of so short a run differ by a tenth and more."""


def grown(single: Sequence[Row], double: Sequence[Row]) -> list[Row]:
    """Of each row the ratio in the larger world beside that in the smaller one."""
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
