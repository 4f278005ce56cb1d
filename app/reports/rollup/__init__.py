"""The rollup keeps, for every org and day, the figures of its whole subtree, equal to a recount at every commit.

events → deltas → day rows → subtree totals → scores. A writer appends a delta row that names what changed and never by
how much: accepted points (`point_deltas`), a member row (`member_deltas`), an org's superior (`edge_deltas`). A
**cycle** (`cycle`) takes the deltas that wait, reads the sources, compares them with the rolled-up state (`user_days`,
`memberships`, `tree_edges`) and adds the difference to the totals (`org_totals`) and scores (`org_scores`) of the days
that it changes. Order: points, members, edges; each step leaves the totals exact.

A cycle is one REPEATABLE READ transaction under one lock (`transaction`), so sources, deltas and totals are of one
snapshot, and a kill leaves all of it or nothing. Whoever starts again takes the deltas that are still there. The order
of commits, a repeated delta, or one whose change an earlier cycle has seen makes no difference.

Nothing is rewritten at midnight: a day is built once (`days`), the next day in slices before it comes (`next_day`).
`worker` runs all of it, `rebuild` builds everything anew, `verify` names every difference from a recount.
The statements are in `sql/`, a file a step; `docs/TOTALS.md` has the invariants and worked examples.
"""
