"""What a bench prints and keeps: one row a figure, each a ratio to a limit or a peer measured in the same run."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """`ratio` is ours / reference; `met` where it is at least the goal."""

    name: str
    ours: float
    reference: float
    goal: float

    @property
    def ratio(self) -> float:
        return self.ours / self.reference

    @property
    def met(self) -> bool:
        return self.ratio >= self.goal


def report(rows: list[Row], kept_in: Path) -> None:
    """Print the rows as a table and keep them as JSON."""
    print(f"{'name':<14}{'ours':>12}{'reference':>12}{'ratio':>8}{'goal':>8}  met|short")
    for row in rows:
        verdict = "met" if row.met else "short"
        print(f"{row.name:<14}{row.ours:>12.1f}{row.reference:>12.1f}{row.ratio:>8.2f}{row.goal:>8.2f}  {verdict}")
    kept_in.parent.mkdir(parents=True, exist_ok=True)
    kept_in.write_text(json.dumps([asdict(row) | {"ratio": row.ratio, "met": row.met} for row in rows], indent=2))
