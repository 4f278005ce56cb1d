"""Ids made in Python."""

from app.core.ids import make_id, make_ids


def test_ids_are_different_ascending_and_of_version_seven() -> None:
    before = make_id()
    ids = make_ids(5000)  # more than the 4096 of one millisecond
    assert ids == sorted(set(ids))
    assert before < ids[0]
    assert {(made.version, made.variant) for made in ids} == {(7, before.variant)}
