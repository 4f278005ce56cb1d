"""Rotations of the index key; the facts of a phone are written when the phone changes, not when its index does"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# A rotation of the index key says so in its transactions (app.key_rotation.index_key): no person's phone changes then.
KEEP_PHONE = """
CREATE OR REPLACE FUNCTION keep_member_phone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('xuezu.reindexing', true) = 'on' THEN
        RETURN NULL;
    END IF;
    INSERT INTO member_phones (org_id, member_id, until, phone_index)
    VALUES (OLD.org_id, OLD.id, now(), OLD.phone_index) ON CONFLICT DO NOTHING;
    INSERT INTO place_facts (org_id, member_id) VALUES (OLD.org_id, OLD.id);
    RETURN NULL;
END $$
"""
KEPT_PHONE = """
CREATE OR REPLACE FUNCTION keep_member_phone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO member_phones (org_id, member_id, until, phone_index)
    VALUES (OLD.org_id, OLD.id, now(), OLD.phone_index) ON CONFLICT DO NOTHING;
    INSERT INTO place_facts (org_id, member_id) VALUES (OLD.org_id, OLD.id);
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "index_rotations",
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "key_check", sa.LargeBinary(), nullable=False, comment="tells the key from any other, and nothing of it"
        ),
        sa.Column(
            "moved_below",
            sa.LargeBinary(),
            nullable=False,
            comment="values whose index by the keys before is below this are indexed by the new key",
        ),
        sa.Column("begun_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("generation", name=op.f("index_rotations_pkey")),
    )
    op.execute(KEEP_PHONE)


def downgrade() -> None:
    op.execute(KEPT_PHONE)
    op.drop_table("index_rotations")
