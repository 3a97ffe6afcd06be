"""A schema as a value: read it, write it as SQL for another name, compare two.

    with transaction.atomic(), schema_context("public"), connection.cursor() as cursor:
        snapshot = read_schema(cursor, "template")
        script = write_schema(snapshot, read_rows(cursor, snapshot))
        cursor.execute(script.render("acme"))          # one message, no parameters

* ``read_schema(cursor, schema_name)`` -> ``SchemaSnapshot``; needs an open transaction. Two
  snapshots are equal when the structure is, whatever the schemas are called.
* ``read_rows(cursor, snapshot)`` -> statements for all rows and for the values of sequences.
* ``write_schema(snapshot, rows=())`` -> ``Script``; ``.render(schema_name, role=None)`` is the
  SQL, ``.dumps()`` and ``Script.loads(text)`` keep it. ``.with_rows(rows)`` exchanges the rows.
* ``compare(one, other)`` -> ``Difference`` after ``Difference``, each a sentence.
* ``functions_naming_schema(snapshot)`` -> ``Script`` to be sent after ALTER SCHEMA ... RENAME.
* ``read_fingerprint(cursor, schema_name, relations)`` -> ``Fingerprint`` of a few relations, in one
  query; ``fingerprint_sql`` is its hash as an expression.
* ``snapshot.doubts`` tells what may name the schema and is left as it is in a copy.

Nothing here knows of models or settings. With APPSCHEMA_ROLES the caller is inside ``as_owner()``,
as with everything that makes tables. The texts that are made set the search path and other
settings for the transaction, and put them back.
"""

from .compare import Difference, compare
from .fingerprint import Fingerprint, fingerprint_sql, read_fingerprint
from .read import read_schema
from .renamed import functions_naming_schema
from .rows import read_rows
from .script import Script
from .snapshot import Doubt, SchemaSnapshot
from .write import write_schema

__all__ = [
    "Difference",
    "Doubt",
    "Fingerprint",
    "SchemaSnapshot",
    "Script",
    "compare",
    "fingerprint_sql",
    "functions_naming_schema",
    "read_fingerprint",
    "read_rows",
    "read_schema",
    "write_schema",
]
