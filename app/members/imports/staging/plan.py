"""What an import is to do, as its admin chose it."""

from typing import NamedTuple
from uuid import UUID


class ImportPlan(NamedTuple):
    """The columns of an import that decide its outcomes. `unit_id` is the unit that `replace-unit` replaces."""

    org_id: UUID
    id: UUID
    mode: str
    unit_id: UUID | None
    units: str
    unknown_units: str

    @property
    def parameters(self) -> dict[str, UUID]:
        """Return the parameters that every statement about the import has."""
        return {"org_id": self.org_id, "import_id": self.id}

    @property
    def creates_units(self) -> bool:
        return self.unknown_units == "create"

    @property
    def replaces(self) -> bool:
        """Return whether people who are not in the sheet leave."""
        return self.mode != "add-and-update"
