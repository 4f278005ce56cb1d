"""The temporary table `loading`: the rows of a sheet, which SQL statements resolve and decide set by set.

`superiors` finds the superior that each row names, and the levels. `outcomes` decides what happens with each row; a
confirmed load is decided again in the same way, from its stored rows. No recursion is needed: a statement a level,
`MAX_LEVELS` at the most. A row that no level reaches is part of a circle, or under one.
"""
