-- Edges: the rows that `tree_edges` must contain, from the certifications.
--
-- This is an included fragment. It ends with `certified_edges (subordinate_id, since, before, superior_id)`: from the
-- end of day `since` until before the end of day `before` the subordinate was certified under the superior.
certified_edges AS NOT MATERIALIZED (
    SELECT subordinate_id, day_of(certified_at) AS since, coalesce(day_of(ended_at), 'infinity') AS before,
        superior_id
    FROM certifications
    WHERE certified_at IS NOT NULL AND (ended_at IS NULL OR day_of(certified_at) < day_of(ended_at))
)
