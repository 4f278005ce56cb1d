"""Temporary tables that decide, for all rows of a sheet at once, how an import changes the directory.

- `staged`: the rows of the sheet, with the columns of `import_rows`. It is analyzed, because the planner has no
  statistics of a new table.
- `paths`: the paths of the org's units, with their keys (`core.names`).
- `resolved`: each path of the sheet, with its key, and its unit or a problem.
- `without_phone`: which rows without a phone are about which people of the directory.
- `people`: one row for each person, with the outcome.

`staged.person_key` says which rows are about one person. It is the phone's index. Rows without a phone are about one
person if name and unit are the same, or if they name several units of one person of the directory who has no phone.

A person is imported completely or not at all: if one row of a person is refused, the other rows are refused too.

The modules, in the order of the work: `rows` fills `staged`, `units` creates `paths` and `resolved`, `outcomes` creates
`without_phone` and `people` and stores the outcomes.
"""
