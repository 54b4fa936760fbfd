"""Cut-over: when a token's books were closed for the chain, and when the chain was final about it.

`closing_at` may be taken back while the contract is not finalized; `finalized_at` may not, and
while it stands neither may `closing_at`. Posting looks at `closing_at` under the writers' lock.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIMESTAMP_MAX = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z
MESSAGE = "a finalized token stays finalized"


def upgrade() -> None:
    connection = op.get_bind()
    sqlite = connection.dialect.name == "sqlite"
    bigint, same = ("INTEGER", "IS") if sqlite else ("BIGINT", "IS NOT DISTINCT FROM")
    for name in ("closing_at", "finalized_at"):
        connection.exec_driver_sql(
            f"ALTER TABLE tokens ADD COLUMN {name} {bigint}"
            f" CHECK ({name} BETWEEN 0 AND {TIMESTAMP_MAX})"
        )
    bad = (
        f"(OLD.finalized_at IS NOT NULL AND NOT (NEW.finalized_at {same} OLD.finalized_at"
        f" AND NEW.closing_at {same} OLD.closing_at))"
        " OR (NEW.finalized_at IS NOT NULL AND NEW.closing_at IS NULL)"
    )
    if sqlite:
        connection.exec_driver_sql(
            f"CREATE TRIGGER tokens_finalized BEFORE UPDATE ON tokens WHEN {bad}"
            f" BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
        )
        return
    connection.exec_driver_sql(
        "CREATE FUNCTION tokens_finalized() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF {bad} THEN RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'restrict_violation';"
        " END IF; RETURN NEW; END $$"
    )
    connection.exec_driver_sql(
        "CREATE TRIGGER tokens_finalized BEFORE UPDATE ON tokens FOR EACH ROW"
        " EXECUTE FUNCTION tokens_finalized()"
    )
