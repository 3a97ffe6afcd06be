"""Make a schema of the site, copy it, and note everything in which the copy is not as it should be."""

from time import perf_counter
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.db import connection, transaction

from appschema import schema_context
from appschema.catalog import compare, read_rows, read_schema, write_schema
from appschema.names import PUBLIC
from appschema.placement import get_placement
from appschema.provisioning import new_schema
from tests.evidence.rows import insert_everywhere
from tests.integration.catalog.database import Database, difference

SEQUENCES = (
    "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'source' ORDER BY 1"
)


def look(url: str) -> dict[str, Any]:
    """Return figures, and under ``faults`` a sentence for each thing that is wrong."""
    call_command("migrate", verbosity=0)
    new_schema("source", "source.example.com")
    database = Database(url)
    faults: list[str] = []
    with transaction.atomic(), schema_context(PUBLIC), connection.cursor() as cursor:
        started = perf_counter()
        snapshot = read_schema(cursor, "source")
        read = perf_counter()
        script = write_schema(snapshot, read_rows(cursor, snapshot)).render("copy")
        written = perf_counter()
        cursor.execute(script)
    made = perf_counter()
    if text := difference(database.dump("source"), database.dump("copy")):
        faults.append(f"pg_dump says otherwise of the copy:\n{text}")
    copied = database.read("copy")
    faults += map(str, compare(snapshot, copied))
    if database.data("source") != database.data("copy"):
        faults.append("The rows of the copy are not those of the source.")
    before, data = database.rows(SEQUENCES), database.data("source")
    models = [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed
        and not model._meta.proxy
        and get_placement().holds(model._meta.app_label, public=False)
    ]
    faults += insert_everywhere("copy", models)
    if database.rows(SEQUENCES) != before or database.data("source") != data:
        faults.append("What was inserted in the copy has changed the source.")
    dump = database.dump("copy")
    database.drop("source")
    if text := difference(dump, database.dump("copy")):
        faults.append(f"Without its source the copy is another:\n{text}")
    version = str(database.connection.info.parameter_status("server_version")).split()[0]
    database.connection.close()
    connection.close()
    return {
        "postgresql": version,
        "tables": len(snapshot.tables),
        "sequences": sum(1 for _ in snapshot.all_sequences()),
        "indexes": sum(len(each.indexes) for each in snapshot.relations),
        "constraints": sum(len(each.constraints) for each in snapshot.tables),
        "routines": len(snapshot.routines),
        "triggers": sum(len(each.triggers) for each in snapshot.relations),
        "types": len(snapshot.types),
        "views": len(snapshot.views),
        "models": len(models),
        "read_ms": round((read - started) * 1000),
        "write_ms": round((written - read) * 1000),
        "make_ms": round((made - written) * 1000),
        "kilobytes": len(script) // 1000,
        "doubts": [f"{each.where}: {each.text}" for each in snapshot.doubts],
        "faults": faults,
    }
