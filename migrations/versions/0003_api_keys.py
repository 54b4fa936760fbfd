"""Keys of the HTTP API: who may call it, and for what. Only hashes are kept.

A key is never changed but for being revoked, once.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIMESTAMP_MAX = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z
MESSAGE = "a key is never changed, only revoked once"
FIXED = ("key_id", "key_hash", "scopes", "created_at")


def upgrade() -> None:
    connection = op.get_bind()
    sqlite = connection.dialect.name == "sqlite"
    bigint, binary = ("INTEGER", "BLOB") if sqlite else ("BIGINT", "BYTEA")
    connection.exec_driver_sql(
        "CREATE TABLE api_keys ("
        " key_id TEXT PRIMARY KEY NOT NULL CHECK (length(key_id) BETWEEN 1 AND 64),"
        f" key_hash {binary} NOT NULL CHECK (length(key_hash) = 32),"
        " scopes TEXT NOT NULL,"
        f" created_at {bigint} NOT NULL CHECK (created_at BETWEEN 0 AND {TIMESTAMP_MAX}),"
        f" revoked_at {bigint} CHECK (revoked_at BETWEEN 0 AND {TIMESTAMP_MAX}))"
        + (" STRICT" if sqlite else "")
    )
    bad = " OR ".join(["OLD.revoked_at IS NOT NULL", *(f"NEW.{n} <> OLD.{n}" for n in FIXED)])
    if sqlite:
        connection.exec_driver_sql(
            f"CREATE TRIGGER api_keys_fixed BEFORE UPDATE ON api_keys WHEN {bad}"
            f" BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
        )
        return
    connection.exec_driver_sql(
        "CREATE FUNCTION api_keys_fixed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF {bad} THEN RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'restrict_violation';"
        " END IF; RETURN NEW; END $$"
    )
    connection.exec_driver_sql(
        "CREATE TRIGGER api_keys_fixed BEFORE UPDATE ON api_keys FOR EACH ROW"
        " EXECUTE FUNCTION api_keys_fixed()"
    )
