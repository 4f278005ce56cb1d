"""The folder: takes the facts that writers append and keeps totals and scores equal to a recount.

**Exactness.** A fact names what changed (a member row, an org's edge), never by how much. In one REPEATABLE READ
transaction the folder takes the facts it sees, looks at the sources in the same snapshot, compares with what it had
folded (`standings`, `tree_edges`, `user_days`) and adds the difference to the totals. So the order in which facts were
committed, a fact that comes twice, or one whose change was folded along with an earlier fact makes no difference:
after each fold the totals are the function of the folded state that a recount computes, and the folded state is the
sources' where no fact is waiting. A kill leaves either the whole fold or nothing of it.

In any subtree a person counts once: what is added for a person goes to the *set* of orgs that stand at or above any
of the places they have. Who stands in one org only, as nearly all do, is added up per org first and climbs as a sum.

**Days.** Totals are kept per day, of that day's end; a place, an activation or an edge holds from day to day. A fact
therefore touches exactly the kept days on which it changed something: today, tomorrow as far as it is prepared
(`coming`: in slices, between which folding goes on), and past days where an event came late or a transaction straddled
midnight. Nothing is rewritten at midnight: readers choose the day by the date.

**Order within a fold.** Points first, at the standings and the tree as folded so far; then people, with the day rows
that now hold those points; then edges, with the people that now stand. Each step leaves the totals exact.
"""
