"""What is wrong in a live database, found out without changing anything.

``migrate`` and ``provisioning`` keep the registry, the schemas and their tables together. What
others do to a database (psql, a backup that was restored in part, a pooler that was put in
between) they cannot see. ``find_all`` looks, and answers with values.

PostgreSQL is asked about all schemas at once: the number of statements does not grow with the
fleet. Only the records of migrations, which are in a table of each schema, are read by one
statement for each hundred of them. In pg_class tables are looked up by name and schema, for
which it has an index; it has none for the schema alone.
"""

from __future__ import annotations

from django.db import connections

from appschema.context import as_owner, schema_context
from appschema.fleet.selection import Selection
from appschema.names import PUBLIC

from .between import find_between
from .finding import Finding
from .inspection import Inspection
from .registry import find_names_of_public, find_registry, find_schemas, find_unregistered
from .server import find_locks, find_roles
from .tables import find_extensions, find_invalid_indexes, find_lags, find_misplaced, find_missing
from .template import find_origins


def find_all(using: str, selection: Selection) -> list[Finding]:
    """Return what is wrong in the database, in the schemas of *selection*.

    With a selection of all also what belongs to none of them: schemas without a row, the server,
    and what stands between here and it. Raises ``UnknownSchema``. Writes nothing.
    """
    with schema_context(PUBLIC), as_owner():
        look = Inspection(using, selection)
        lags, of_lags = find_lags(look)
        findings = [
            *find_schemas(look),
            *find_names_of_public(look),
            *find_missing(look, lags),
            *of_lags,
        ]
        if selection.public:
            findings += find_misplaced(look)
        findings += [*find_invalid_indexes(look), *find_extensions(look)]
        if look.everything:
            findings += [*find_registry(look), *find_unregistered(look)]
            findings += find_origins(using, set(look.namespaces))
            findings += [*find_roles(look), *find_locks(look)]
            findings += find_between(connections[using])
    return findings
