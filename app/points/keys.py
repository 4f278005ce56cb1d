"""The keys by which a point event counts once, and how long they are stored.

An event is refused when it is older than MAX_EVENT_AGE_DAYS, so a key is needed only as long as its event can come
again. Keys are partitioned by the time of *arrival*, and not by the event's own day, because a service may send an id
again with another time; it is then still a duplicate. PostgreSQL cannot enforce a unique key over several partitions.
Three rules replace it:

1. A period is PERIOD_DAYS long (`key_period_of` in the database), and its keys have a primary key. Two transactions of
   one period that send the same id wait for each other there.
2. On the first day of a period a key is inserted into this period and the one before. So two transactions share a
   period whenever less than a day is between their beginnings, also when the clocks of two servers differ by less.
3. The statement searches the older periods for the id. A transaction that began a day before has ended, so what it
   wrote is visible: the time limits of a request's connection end it after minutes (`app.database.connections`).

A period is dropped when no event that arrived in it can come again: REMEMBERED_DAYS after its end. So the same id is a
duplicate for at least REMEMBERED_DAYS after it was counted, and an event with the same id and time counts once for
ever: when its key is dropped, the event itself is too old. At most PERIOD_DAYS + REMEMBERED_DAYS + 1 days of keys are
stored. (The first period of a database is longer: migration 0060.)
"""

MAX_EVENT_AGE_DAYS = 30
PERIOD_DAYS = 16
REMEMBERED_DAYS = MAX_EVENT_AGE_DAYS + 1
"""One day more than an event may be old, because an event may be five minutes in the future when it arrives."""

OPEN_PERIODS = """(
    SELECT DISTINCT key_period_of(day_of(now()) - n) AS since FROM generate_series(0, 1) AS n
)"""
"""The periods into which a key is inserted: the present one, and on its first day also the one before."""

IS_IN_OLDER_PERIOD = f"""EXISTS (
            SELECT FROM point_event_keys AS k
            WHERE k.source = :client_id AND k.event_id = s.event_id
              AND k.since < key_period_of(day_of(now()) - 1)
              AND k.since >= day_of(now()) - {PERIOD_DAYS + REMEMBERED_DAYS}
        )"""
"""Whether the event `s` was counted in a period that takes no keys any more."""
