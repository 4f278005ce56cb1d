"""Temporary tables that decide, for all rows of a sheet at once, how an import changes the directory.

- `staged`: the rows of the sheet, as far as the decision needs them. It is analyzed, because the planner has no
  statistics of a new table.
- `affected`: after an edit of one row, the rows whose outcome it can change. Only these are in `staged` then. `links`
  and `reached` are for finding them.
- `paths`: the paths of the org's units, with their keys (`core.names`).
- `scope`: the units that `replace-unit` replaces.
- `unit_parts`: each unit that the sheet names. `resolved`: each cell of the sheet, with its units or a problem.
- `identified`: the rows about a person of the directory who is found otherwise than by the phone.
- `persons`: one row for each person of the sheet, with the person of the directory who has the phone.
- `candidates`: people of the directory who could be a person of the sheet with another phone.
- `placed`: the units in which these people of the directory are.
- `people`: one row for each person of the sheet, with the outcome.
- `changes`: one row for each person of the directory whom the import changes, with the values before and after.

`staged.person_key` says which rows are about one person. It is the index of the phone that the person has in the
directory, or of the phone in the sheet. Rows without a phone are about one person if name and unit are the same, or if
they name several units of one person of the directory who has no phone.

A person is imported completely or not at all: if one row of a person is refused, the other rows are refused too.

The modules, in the order of the work: `affected` finds what an edit affects, `rows` stores the rows of a sheet and
creates `staged`, `units` creates `paths`, `scope`, `unit_parts` and `resolved`, `people` creates the tables up to
`people`, `changes` creates `changes`, and `outcomes` counts and stores the outcome of each row.
"""
