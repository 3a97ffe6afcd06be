"""GRANT and REVOKE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from appschema.names import quote_identifier

from .snapshot import DefaultPrivilege, Grant


def rights_on(target: str, grants: Iterable[Grant]) -> Iterator[str]:
    """Yield the statements for one object; ``target`` is ``TABLE "t"`` or the like."""
    for (grantee, is_revoked, is_grantable, column), each in groupby(grants, key=_sort):
        at = f" ({quote_identifier(column)})" if column else ""
        privileges = ", ".join(f"{grant.privilege}{at}" for grant in each)
        if is_revoked:
            yield f"REVOKE {privileges} ON {target} FROM {grantee}"
        else:
            option = " WITH GRANT OPTION" if is_grantable else ""
            yield f"GRANT {privileges} ON {target} TO {grantee}{option}"


def default_rights(schema: str, privileges: Iterable[DefaultPrivilege]) -> Iterator[str]:
    """Yield ALTER DEFAULT PRIVILEGES."""
    for each in privileges:
        whose = f" FOR ROLE {each.role}" if each.role else ""
        grant = each.grant
        option = " WITH GRANT OPTION" if grant.is_grantable else ""
        yield (
            f"ALTER DEFAULT PRIVILEGES{whose} IN SCHEMA {schema} GRANT {grant.privilege}"
            f" ON {each.objects} TO {grant.grantee}{option}"
        )


def _sort(grant: Grant) -> tuple[str, bool, bool, str | None]:
    return grant.grantee, grant.is_revoked, grant.is_grantable, grant.column
