"""The rollup stores, for every org and day, the figures of its whole subtree, equal to a recount at every commit.

events → deltas → day rows → subtree totals → scores. A writer appends a delta row that names the changed thing but not
the amount: accepted points (`point_deltas`), a member row (`member_deltas`), an org's superior (`edge_deltas`). A
**cycle** (`cycle`) takes the waiting deltas, reads the sources, compares them with the rolled-up state (`user_days`,
`memberships`, `tree_edges`) and adds the difference to the totals (`org_totals`) and scores (`org_scores`) of the days
that change. The order is points, members, edges; each step leaves the totals exact.

A cycle is one REPEATABLE READ transaction under one lock (`transaction`), so sources, deltas and totals are of one
snapshot, and a kill leaves all of it or nothing. The next cycle takes the deltas that are still there. The order of
commits makes no difference; neither does a repeated delta, or a delta whose change an earlier cycle has already read.

No totals are rewritten at midnight: a day is built once (`days`), and the next day is built in slices on the evening
before (`next_day`). `worker` runs all of this, `rebuild` builds everything again, `verify` finds every difference from
a recount. The statements are in `sql/`, one file for each step; `docs/TOTALS.md` has the invariants and an example.
"""
