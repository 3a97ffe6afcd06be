"""What makes PostgreSQL refuse a missing schema, and what it costs.

    python -m benchmarks.envelope [--database-url URL] [--rounds N] [--report FILE]

Each candidate is sent in one message with the same indexed query, through libpq alone, in turn with
all the others, so that a change of the machine's speed hits all alike. Medians in microseconds and
their ratio to the bare statement.
"""

import argparse
import platform
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import pq

from tools.postgres import PostgresServer

PATH = 'SET LOCAL search_path TO "bench_a", "public", pg_temp; '
LOCK = 'LOCK TABLE ONLY "bench_a"."django_migrations" IN ACCESS SHARE MODE'
CANDIDATES = {
    "the statement alone": "",
    "SET LOCAL search_path": PATH,
    "SET LOCAL, LOCK (chosen)": f"{PATH}{LOCK}; ",
    "SET LOCAL, LOCK of two tables": f"{PATH}{LOCK.replace(' IN', ', ONLY bench_a.item IN')}; ",
    "SET LOCAL, SET LOCAL ROLE": f"{PATH}SET LOCAL ROLE bench_role; ",
    "SET LOCAL, SELECT of a regnamespace": f"{PATH}SELECT 'bench_a'::regnamespace; ",
    "SET LOCAL, SELECT FROM the table LIMIT 0": (
        f"{PATH}SELECT FROM ONLY bench_a.django_migrations LIMIT 0; "
    ),
    "SET LOCAL, DO with an assertion": (
        f"{PATH}DO $$BEGIN PERFORM 'bench_a'::regnamespace; END$$; "
    ),
    "SET CONSTRAINTS twice, SET LOCAL, LOCK (a switch)": (
        f"SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED; {PATH}{LOCK}; "
    ),
}
QUERY = "SELECT value FROM bench_a.item WHERE id = 1"


def set_up(connection: psycopg.Connection) -> None:
    connection.execute("DROP SCHEMA IF EXISTS bench_a CASCADE")
    connection.execute("DROP ROLE IF EXISTS bench_role")
    connection.execute("CREATE ROLE bench_role")
    connection.execute(
        "CREATE SCHEMA bench_a CREATE TABLE django_migrations (id int)"
        " CREATE TABLE item (id int PRIMARY KEY, value text)"
    )
    connection.execute("INSERT INTO bench_a.item SELECT g, g::text FROM generate_series(1, 1000) g")
    connection.execute("GRANT USAGE ON SCHEMA bench_a TO bench_role")
    connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA bench_a TO bench_role")


def tear_down(connection: psycopg.Connection) -> None:
    connection.execute("DROP SCHEMA bench_a CASCADE")
    connection.execute("DROP ROLE bench_role")


def send(connection: psycopg.Connection, message: bytes) -> float:
    start = time.perf_counter()
    result = connection.pgconn.exec_(message)
    spent = time.perf_counter() - start
    if result.status == pq.ExecStatus.FATAL_ERROR:
        raise SystemExit(result.error_message.decode())
    return spent * 1e6


def measure(connection: psycopg.Connection, rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    messages = {name: f"{text}{QUERY}".encode() for name, text in CANDIDATES.items()}
    for _ in range(rounds):
        for name, message in messages.items():
            times[name].append(send(connection, message))
    return {name: statistics.median(each) for name, each in times.items()}


def report(connection: psycopg.Connection, rounds: int) -> str:
    set_up(connection)
    try:
        outside = measure(connection, rounds)
        with connection.transaction():
            inside = measure(connection, rounds)
    finally:
        tear_down(connection)
    version = connection.info.parameter_status("server_version")
    lines = [
        f"## PostgreSQL {version}",
        "",
        (
            f"{datetime.now(UTC):%Y-%m-%d}, psycopg {psycopg.__version__}, Python"
            f" {platform.python_version()}, {rounds} rounds, {platform.machine()}."
        ),
        "",
        "| in front of the statement | autocommit µs | ratio | in a transaction µs | ratio |",
        "| --- | --: | --: | --: | --: |",
    ]
    bare_out, bare_in = outside["the statement alone"], inside["the statement alone"]
    lines += [
        f"| {name} | {outside[name]:.0f} | {outside[name] / bare_out:.2f}"
        f" | {inside[name]:.0f} | {inside[name] / bare_in:.2f} |"
        for name in CANDIDATES
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--database-url", help="A server; without it, one of its own is started.")
    parser.add_argument("--rounds", type=int, default=5000)
    parser.add_argument("--report", type=Path, help="Append the table to this file.")
    options = parser.parse_args()
    if options.database_url:
        with psycopg.connect(options.database_url, autocommit=True) as connection:
            text = report(connection, options.rounds)
    else:
        with PostgresServer() as server, psycopg.connect(server.url, autocommit=True) as connection:
            text = report(connection, options.rounds)
    print(text)  # noqa: T201 - the table is what the program is for
    if options.report:
        with options.report.open("a") as file:
            file.write("\n" + text)


if __name__ == "__main__":
    main()
