"""Fill a database with as many tickets as a busy shop has after years, within a minute.

The rows are skewed and correlated as real ones are, for these are what mislead a planner: what is
open is recent, some workers have much more to do than others, and most clients come once. The
same ``count`` gives the same rows.
"""

from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg

WORKERS: Final = 50
ACCOUNTS: Final = 500

PEOPLE: Final[LiteralString] = """
INSERT INTO users (username, username_key, name, role, language, is_active, password_hash,
                   version, updated_at)
SELECT 'user' || n, 'user' || n, 'User ' || n,
       CASE WHEN n = 1 THEN 'admin' WHEN n = 2 THEN 'manager' WHEN n <= 2 + %(workers)s THEN 'worker'
            ELSE 'client' END,
       'ru', true, '!', 1, now()
FROM generate_series(1, 2 + %(workers)s + %(accounts)s) AS n
"""

CLIENTS: Final[LiteralString] = """
INSERT INTO clients (name, email, email_key, phone, phone_key, version, updated_at)
SELECT 'Client ' || n, 'client' || n || '@mail.example', 'client' || n || '@mail.example',
       '+7912' || lpad(n::text, 7, '0'), '+7912' || lpad(n::text, 7, '0'), 1, now()
FROM generate_series(1, greatest(%(count)s / 5, 1)) AS n
"""

# Three years in the order of their ids, with an hour of disorder. Of what came within two weeks
# half is open, of what is older than two months one in a thousand.
TICKETS: Final[LiteralString] = """
INSERT INTO tickets (code, title, description, address, status, priority, viewed, client_id, worker_id,
                     account_id, published_at, scheduled_at, due_at, created_at, updated_at, assigned_at,
                     in_progress_at, done_at, requester_ip, version, fingerprint, search)
SELECT 'C' || lpad(n::text, 15, '0'),
       (ARRAY['Washing machine', 'Fridge', 'Boiler', 'Kettle', 'Lift', 'Door lock'])[1 + n %% 6]
         || ' does not work, ' || n,
       repeat('It makes a noise and then stops. ', 1 + (6 * luck)::int), (1 + n %% 200) || ' Lenin street',
       status, priority, worker_id IS NOT NULL AND (status <> 'assigned' OR luck > 0.5),
       1 + (power(random(), 3) * (%(clients)s - 1))::bigint, worker_id,
       CASE WHEN random() < 0.05 THEN 2 + %(workers)s + 1 + (random() * (%(accounts)s - 1))::int END,
       CASE WHEN status = 'new' AND random() < 0.2 THEN created_at + interval '5 minutes' END,
       CASE WHEN random() < 0.4 THEN created_at + random() * interval '9 days' END,
       CASE WHEN random() < 0.6 THEN created_at + random() * interval '20 days' END,
       created_at, least(now(), created_at + random() * random() * interval '30 days'),
       CASE WHEN worker_id IS NOT NULL THEN created_at + luck * interval '1 day' END,
       CASE WHEN status IN ('in_progress', 'on_hold', 'done', 'closed')
            THEN created_at + luck * interval '2 days' END,
       CASE WHEN status IN ('done', 'closed') THEN created_at + luck * interval '5 days' END,
       '198.51.100.' || n %% 250, 1,
       CASE WHEN status IN ('new', 'assigned', 'in_progress', 'on_hold')
            THEN sha256(n::text::bytea) END,
       ''::tsvector
FROM (
  SELECT *, CASE WHEN status IN ('assigned', 'in_progress', 'on_hold', 'done', 'closed')
                 THEN 3 + (power(random(), 2) * (%(workers)s - 1))::int END AS worker_id
  FROM (
    SELECT *, now() - age AS created_at,
           CASE WHEN random() < CASE WHEN age < '14 days' THEN 0.5 WHEN age < '60 days' THEN 0.05
                                     ELSE 0.001 END
                THEN (ARRAY['new', 'new', 'new', 'assigned', 'assigned', 'in_progress', 'in_progress',
                            'on_hold'])[1 + (luck * 7)::int]
                WHEN luck < 0.06 THEN 'canceled' WHEN luck < 0.15 THEN 'done' ELSE 'closed' END AS status,
           CASE WHEN pick < 0.1 THEN 'low' WHEN pick < 0.8 THEN 'normal' WHEN pick < 0.97 THEN 'high'
                ELSE 'urgent' END AS priority
    FROM (
      SELECT n, random() AS luck, random() AS pick,
             (1 - n::float8 / %(count)s) * interval '1095 days' + random() * interval '1 hour' AS age
      FROM generate_series(1, %(count)s) AS n
    ) AS drawn
  ) AS made
) AS given
"""

# What a table gains indexes by: filled without them, and built at once, it takes half the time.
INDEXES: Final[LiteralString] = """
SELECT c.relname, pg_get_indexdef(i.indexrelid)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = 'tickets'::regclass
  AND NOT EXISTS (SELECT FROM pg_constraint AS p WHERE p.conindid = i.indexrelid)
"""


@dataclass(frozen=True, slots=True)
class Shop:
    """Who is in a filled database."""

    admin: int = 1
    manager: int = 2
    busy_worker: int = 3
    quiet_worker: int = 2 + WORKERS
    account: int = 2 + WORKERS + 1
    busy_client: int = 1


def fill(url: str, count: int) -> Shop:
    """Put ``count`` tickets into a migrated, empty database, and leave it as autovacuum would."""
    names: dict[str, Any] = {
        "count": count,
        "clients": max(count // 5, 1),
        "workers": WORKERS,
        "accounts": ACCOUNTS,
    }
    with psycopg.connect(url.replace("+asyncpg", ""), autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '256MB'")
        connection.execute("SET max_parallel_maintenance_workers = 0")
        with connection.transaction():
            # No triggers and no foreign keys: the rows are right, and searching has tests of its own.
            connection.execute("SET LOCAL session_replication_role = replica")
            connection.execute("SELECT setseed(0.42)")
            indexes = connection.execute(INDEXES).fetchall()
            for name, _ in indexes:
                connection.execute(f'DROP INDEX "{name}"'.encode())
            for statement in (PEOPLE, CLIENTS, TICKETS):
                connection.execute(statement, names)
            for _, definition in indexes:
                connection.execute(str(definition).encode())
        connection.execute("VACUUM (ANALYZE) tickets, clients, users")
    return Shop()
