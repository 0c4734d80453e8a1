"""Apply the SQL files of a folder to a PostgreSQL database, each once, in the order of their names.

The table ``schema_migrations`` remembers what has been applied, so a second run changes nothing. Where the server is
and who logs in comes from libpq's own variables (PGHOST, PGUSER, PGDATABASE); the password is in the file that
DB_PASSWORD_FILE names.
"""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import closing
from pathlib import Path

import psycopg2

LOCK = 7_465_736_370
"""The advisory lock that keeps two migrations of one database apart; any number that nothing else uses."""


def main() -> int:
    """Migrate; return the exit code."""
    files = sorted(Path(sys.argv[1]).glob("*.sql"))
    if not files:
        print(f"error: no migrations in {sys.argv[1]}", file=sys.stderr)
        return 1
    password = Path(os.environ["DB_PASSWORD_FILE"]).read_text().strip()
    with closing(psycopg2.connect("", password=password)) as connection:
        applied = prepare(connection)
        for file in files:
            checksum = hashlib.sha256(file.read_bytes()).hexdigest()
            if applied.get(file.name, checksum) != checksum:
                print(f"error: {file.name} is not what was applied before", file=sys.stderr)
                return 1
            if file.name not in applied:
                apply(connection, file, checksum)
                print(f"applied {file.name}")
    print(f"schema is up to date: {len(files)} migrations")
    return 0


def prepare(connection: psycopg2.extensions.connection) -> dict[str, str]:
    """Wait for other migrations to end; return name and checksum of what has been applied."""
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])  # held until the connection closes
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations ("
            " name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        cursor.execute("SELECT name, checksum FROM schema_migrations")
        return dict(cursor.fetchall())


def apply(connection: psycopg2.extensions.connection, file: Path, checksum: str) -> None:
    """Run one file and remember it, in one transaction."""
    with connection, connection.cursor() as cursor:
        cursor.execute(file.read_text())
        cursor.execute("INSERT INTO schema_migrations (name, checksum) VALUES (%s, %s)", [file.name, checksum])


if __name__ == "__main__":
    sys.exit(main())
