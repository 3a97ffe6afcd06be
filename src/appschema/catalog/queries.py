"""What is asked of the catalogs about one schema, by the oids of its own objects.

pg_class has no index that leads with the namespace, so no query looks for "all of a schema":
MEMBERS finds the objects in pg_depend, by index, and the others are given their oids. Each
is asked once, whatever the number of tables. All but MEMBERS run with the schema first in the
search path, which decides how the server deparses: everything of the catalogs is qualified.
"""

from __future__ import annotations


def _rights(acl: str, kind: str, owner: str) -> str:
    """Return SQL for the rights that differ from those of a new object, as JSON."""
    given = f"SELECT privilege_type, grantee, is_grantable FROM pg_catalog.aclexplode({acl})"
    fresh = (
        "SELECT privilege_type, grantee, is_grantable FROM"
        f" pg_catalog.aclexplode(pg_catalog.acldefault({kind}, {owner}))"
    )
    who = (
        f"CASE grantee WHEN 0 THEN 'PUBLIC' WHEN {owner} THEN 'CURRENT_USER'"
        " ELSE pg_catalog.format('%%I', pg_catalog.pg_get_userbyid(grantee)) END"
    )
    return f"""
        CASE WHEN {acl} IS NOT NULL THEN (
            SELECT pg_catalog.json_agg(pg_catalog.json_build_array(privilege_type, {who}, is_grantable, revoked)
                                       ORDER BY revoked DESC, privilege_type, {who}, is_grantable)
              FROM (SELECT *, true AS revoked FROM ({fresh} EXCEPT {given}) AS taken
                     UNION ALL
                    SELECT *, false FROM ({given} EXCEPT {fresh}) AS added) AS changes)
        END"""


_KIND_OF_RIGHTS = """CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char\""""

MEMBERS = """
    SELECT n.oid AS namespace, d.classid::pg_catalog.regclass::text AS catalog, d.objid AS oid,
           pg_catalog.pg_describe_object(d.classid, d.objid, 0) AS description,
           e.refobjid AS extension
      FROM pg_catalog.pg_namespace AS n
      LEFT JOIN pg_catalog.pg_depend AS d
             ON d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = n.oid
      LEFT JOIN pg_catalog.pg_depend AS e
             ON e.classid = d.classid AND e.objid = d.objid AND e.deptype = 'e'
     WHERE n.nspname = %(schema)s
       -- The constructors of a range type come with it.
       AND NOT (d.classid IS NOT NULL AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                AND EXISTS (SELECT FROM pg_catalog.pg_depend AS i
                             WHERE i.classid = d.classid AND i.objid = d.objid AND i.deptype = 'i'))
     ORDER BY 2, 3
"""

SCHEMA = f"""
    SELECT pg_catalog.current_setting('search_path') AS path,
           pg_catalog.current_setting('server_version_num')::int AS version,
           pg_catalog.current_database() AS database,
           pg_catalog.obj_description(n.oid, 'pg_namespace') AS comment,
           ARRAY(SELECT DISTINCT p.pubname::text FROM pg_catalog.pg_publication_rel AS r
                   JOIN pg_catalog.pg_publication AS p ON p.oid = r.prpubid
                  WHERE r.prrelid = ANY (%(relations)s::oid[])) AS publications,
           ARRAY(SELECT pg_catalog.pg_describe_object(classoid, objoid, objsubid) FROM pg_catalog.pg_seclabel
                  WHERE objoid = ANY (%(relations)s::oid[] || %(types)s::oid[] || %(routines)s::oid[])) AS labelled,
           {_rights("n.nspacl", "'n'", "n.nspowner")} AS rights
      FROM pg_catalog.pg_namespace AS n WHERE n.oid = %(namespace)s
"""

DEFAULT_PRIVILEGES = f"""
    SELECT a.defaclobjtype::text AS objects,
           CASE WHEN a.defaclrole <> n.nspowner THEN pg_catalog.format('%%I', pg_catalog.pg_get_userbyid(a.defaclrole)) END AS role,
           {_rights("a.defaclacl", "'c'", "a.defaclrole")} AS rights
      FROM pg_catalog.unnest(%(defaults)s::oid[]) AS own (oid)
      JOIN pg_catalog.pg_default_acl AS a ON a.oid = own.oid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = a.defaclnamespace
     ORDER BY 1, 2
"""

COLLATIONS = """
    SELECT c.oid, c.collname AS name, c.collprovider::text AS provider, c.collisdeterministic AS is_deterministic,
           c.collcollate AS lc_collate, c.collctype AS lc_ctype,
           pg_catalog.to_jsonb(c) ->> 'colllocale' AS locale, -- since 17
           pg_catalog.to_jsonb(c) ->> 'colliculocale' AS old_locale,
           pg_catalog.to_jsonb(c) ->> 'collicurules' AS rules, -- since 16
           pg_catalog.obj_description(c.oid, 'pg_collation') AS comment
      FROM pg_catalog.unnest(%(collations)s::oid[]) AS own (oid)
      JOIN pg_catalog.pg_collation AS c ON c.oid = own.oid
"""

TYPES = f"""
    SELECT t.oid, t.typname AS name, t.typtype::text AS type, t.typisdefined AS is_defined, t.typrelid AS relation,
           t.typarray AS array_type,
           CASE t.typtype WHEN 'e' THEN ARRAY(SELECT enumlabel::text FROM pg_catalog.pg_enum
                                               WHERE enumtypid = t.oid ORDER BY enumsortorder) END AS labels,
           pg_catalog.format_type(t.typbasetype, t.typtypmod) AS base,
           CASE WHEN t.typcollation <> b.typcollation THEN t.typcollation::pg_catalog.regcollation::text END AS collation,
           pg_catalog.pg_get_expr(t.typdefaultbin, 0) AS "default", t.typnotnull AS not_null,
           r.rngmultitypid AS multirange,
           pg_catalog.format_type(r.rngsubtype, NULL) AS subtype,
           CASE WHEN NOT o.opcdefault THEN pg_catalog.format('%%I.%%I', s.nspname, o.opcname) END AS opclass,
           CASE WHEN r.rngcollation <> st.typcollation THEN r.rngcollation::pg_catalog.regcollation::text END AS range_collation,
           CASE WHEN r.rngcanonical <> 0 THEN r.rngcanonical::text END AS canonical,
           CASE WHEN r.rngsubdiff <> 0 THEN r.rngsubdiff::text END AS subtype_diff,
           m.typname AS multirange_name,
           pg_catalog.obj_description(t.oid, 'pg_type') AS comment,
           {_rights("t.typacl", "'T'", "t.typowner")} AS rights
      FROM pg_catalog.unnest(%(types)s::oid[]) AS own (oid)
      JOIN pg_catalog.pg_type AS t ON t.oid = own.oid
      LEFT JOIN pg_catalog.pg_type AS b ON b.oid = t.typbasetype
      LEFT JOIN pg_catalog.pg_range AS r ON r.rngtypid = t.oid
      LEFT JOIN pg_catalog.pg_type AS st ON st.oid = r.rngsubtype
      LEFT JOIN pg_catalog.pg_opclass AS o ON o.oid = r.rngsubopc
      LEFT JOIN pg_catalog.pg_namespace AS s ON s.oid = o.opcnamespace
      LEFT JOIN pg_catalog.pg_type AS m ON m.oid = r.rngmultitypid
"""

ROUTINES = f"""
    SELECT p.oid, p.proname AS bare_name, p.prokind::text AS kind, l.lanname AS language, p.prosqlbody IS NOT NULL AS is_parsed,
           pg_catalog.format('%%I(%%s)', p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)) AS name,
           CASE WHEN p.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(p.oid) END AS definition,
           pg_catalog.obj_description(p.oid, 'pg_proc') AS comment,
           {_rights("p.proacl", "'f'", "p.proowner")} AS rights
      FROM pg_catalog.unnest(%(routines)s::oid[]) AS own (oid)
      JOIN pg_catalog.pg_proc AS p ON p.oid = own.oid
      JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
"""

RELATIONS = f"""
    SELECT c.oid, c.relname AS name, c.relkind::text AS kind, c.reltype AS type,
           (SELECT typarray FROM pg_catalog.pg_type WHERE oid = c.reltype) AS array_type, c.relpersistence = 'u' AS is_unlogged,
           coalesce(c.reloptions, '{{}}') AS options, coalesce(t.reloptions, '{{}}') AS toast_options,
           CASE WHEN m.amname <> 'heap' THEN pg_catalog.quote_ident(m.amname) END AS access_method,
           pg_catalog.quote_ident(s.spcname) AS tablespace, c.relreplident::text AS replica_identity, c.relrowsecurity AS row_security,
           c.relforcerowsecurity AS forces_row_security, c.relispopulated AS is_populated,
           CASE c.relkind WHEN 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END AS partition_key,
           pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS partition_bound,
           CASE WHEN c.reloftype <> 0 THEN c.reloftype::pg_catalog.regtype::text END AS of_type,
           ARRAY(SELECT inhparent::pg_catalog.regclass::text FROM pg_catalog.pg_inherits
                  WHERE inhrelid = c.oid ORDER BY inhseqno) AS parents,
           ARRAY(SELECT inhparent FROM pg_catalog.pg_inherits
                  WHERE inhrelid = c.oid ORDER BY inhseqno) AS parent_oids,
           CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END AS definition,
           pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
           {_rights("c.relacl", _KIND_OF_RIGHTS, "c.relowner")} AS rights
      FROM pg_catalog.unnest(%(relations)s::oid[]) AS own (oid)
      JOIN pg_catalog.pg_class AS c ON c.oid = own.oid
      LEFT JOIN pg_catalog.pg_class AS t ON t.oid = c.reltoastrelid
      LEFT JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
      LEFT JOIN pg_catalog.pg_tablespace AS s ON s.oid = c.reltablespace
"""

COLUMNS = f"""
    SELECT a.attrelid AS relation, a.attnum AS number, a.attname AS name,
           pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
           CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::pg_catalog.regcollation::text END AS collation,
           d.oid AS default_oid, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS "default",
           CASE a.attgenerated WHEN 's' THEN 'STORED' WHEN 'v' THEN 'VIRTUAL' END AS generated,
           a.attidentity::text AS identity, a.attnotnull AS not_null,
           CASE WHEN a.attstorage <> t.typstorage THEN
               CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' WHEN 'x' THEN 'EXTENDED' END
           END AS storage,
           CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END AS compression,
           CASE WHEN a.attstattarget >= 0 THEN a.attstattarget END AS statistics,
           ARRAY(SELECT option FROM pg_catalog.unnest(a.attoptions) AS option
                  WHERE option NOT LIKE 'pg_attver=%%' ORDER BY option) AS options, -- Debian's 15 counts there
           a.attislocal AS is_local, pg_catalog.col_description(a.attrelid, a.attnum) AS comment,
           {_rights("a.attacl", "'c'", "c.relowner")} AS rights
      FROM pg_catalog.unnest(%(relations)s::oid[]) AS own (oid)
      JOIN pg_catalog.pg_class AS c ON c.oid = own.oid
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = own.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
      LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     ORDER BY 1, 2
"""

CONSTRAINTS = """
    SELECT c.oid, c.conrelid AS relation, c.contypid AS type_oid, c.conname AS name, c.contype::text AS type,
           pg_catalog.pg_get_constraintdef(c.oid) AS definition,
           c.conislocal AS is_local,
           -- Not as EXISTS, which may be answered by a hash of the whole catalog.
           NOT c.conislocal AND c.convalidated AND coalesce((
               SELECT true FROM pg_catalog.pg_inherits AS h
                 JOIN pg_catalog.pg_constraint AS p ON p.conrelid = h.inhparent
                WHERE h.inhrelid = c.conrelid AND p.conname = c.conname AND NOT p.convalidated LIMIT 1),
               false) AS is_validated_apart,
           c.convalidated AS is_validated,
           CASE c.contype WHEN 'n' THEN (SELECT attname FROM pg_catalog.pg_attribute
                                          WHERE attrelid = c.conrelid AND attnum = c.conkey[1]) END AS "column",
           c.contype = 'f' AND r.relnamespace <> %(namespace)s AS refers_outside,
           pg_catalog.obj_description(c.oid, 'pg_constraint') AS comment
      FROM (SELECT k.* FROM pg_catalog.unnest(%(relations)s::oid[]) AS own (oid)
              JOIN pg_catalog.pg_constraint AS k ON k.conrelid = own.oid
             UNION ALL
            -- Nearly all have the contypid 0, from which the planner would conclude that all are wanted.
            SELECT k.* FROM pg_catalog.unnest(%(types)s::oid[]) AS own (oid)
              JOIN pg_catalog.pg_depend AS d
                ON d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid = own.oid
               AND d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.deptype = 'a'
              JOIN pg_catalog.pg_constraint AS k ON k.oid = d.objid AND k.contypid = own.oid) AS c
      LEFT JOIN pg_catalog.pg_class AS r ON r.oid = c.confrelid
     WHERE c.contype IN ('c', 'p', 'u', 'x', 'f', 'n')
       -- A partition's are its parent's, but those with an index of their own are made before it is attached.
       AND (c.conparentid = 0 OR c.contype IN ('p', 'u', 'x'))
     ORDER BY c.conname
"""

INDEXES = """
    SELECT i.indexrelid AS oid, i.indrelid AS relation, c.relname AS name,
           pg_catalog.pg_get_indexdef(i.indexrelid) AS definition,
           i.indisvalid AS is_valid, i.indisclustered AS is_clustered, i.indisreplident AS is_replica_identity,
           k.conname AS "constraint", p.relname AS parent, pg_catalog.quote_ident(s.spcname) AS tablespace,
           c.relkind = 'I' AS is_partitioned,
           (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(attnum, attstattarget) ORDER BY attnum)
              FROM pg_catalog.pg_attribute WHERE attrelid = i.indexrelid AND attstattarget >= 0) AS statistics,
           pg_catalog.obj_description(i.indexrelid, 'pg_class') AS comment
      FROM pg_catalog.unnest(%(relations)s::oid[]) AS own (oid)
      JOIN pg_catalog.pg_index AS i ON i.indrelid = own.oid
      JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
      LEFT JOIN pg_catalog.pg_constraint AS k
             ON k.conrelid = i.indrelid AND k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
      LEFT JOIN pg_catalog.pg_inherits AS h ON h.inhrelid = i.indexrelid
      LEFT JOIN pg_catalog.pg_class AS p ON p.oid = h.inhparent
      LEFT JOIN pg_catalog.pg_tablespace AS s ON s.oid = c.reltablespace
     ORDER BY c.relname
"""

TRIGGERS = """
    SELECT t.oid, t.tgrelid AS relation, t.tgname AS name, pg_catalog.pg_get_triggerdef(t.oid) AS definition,
           t.tgenabled::text AS enabled, t.tgparentid <> 0 AS is_inherited,
           pg_catalog.obj_description(t.oid, 'pg_trigger') AS comment
      FROM pg_catalog.unnest(%(relations)s::oid[]) AS own (oid)
      JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = own.oid AND NOT t.tgisinternal
     WHERE t.tgparentid = 0 OR t.tgenabled
           <> (SELECT p.tgenabled FROM pg_catalog.pg_trigger AS p WHERE p.oid = t.tgparentid)
     ORDER BY t.tgname
"""

RULES = """
    SELECT r.oid, r.ev_class AS relation, r.rulename AS name, r.rulename = '_RETURN' AS is_view,
           CASE WHEN r.rulename <> '_RETURN' THEN pg_catalog.pg_get_ruledef(r.oid) END AS definition,
           r.ev_enabled::text AS enabled, pg_catalog.obj_description(r.oid, 'pg_rewrite') AS comment
      FROM pg_catalog.unnest(%(relations)s::oid[]) AS own (oid)
      JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = own.oid
     ORDER BY r.rulename
"""

POLICIES = """
    SELECT p.oid, p.polrelid AS relation, p.polname AS name, p.polpermissive AS is_permissive,
           CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
                ELSE 'ALL' END AS command,
           ARRAY(SELECT CASE role WHEN 0 THEN 'PUBLIC' WHEN c.relowner THEN 'CURRENT_USER'
                            ELSE pg_catalog.format('%%I', pg_catalog.pg_get_userbyid(role)) END
                   FROM pg_catalog.unnest(p.polroles) AS role ORDER BY 1) AS roles,
           pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS "using",
           pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) AS "check",
           pg_catalog.obj_description(p.oid, 'pg_policy') AS comment
      FROM pg_catalog.unnest(%(relations)s::oid[]) AS own (oid)
      JOIN pg_catalog.pg_class AS c ON c.oid = own.oid
      JOIN pg_catalog.pg_policy AS p ON p.polrelid = own.oid
     ORDER BY p.polname
"""

SEQUENCES = """
    SELECT s.seqrelid AS oid, pg_catalog.format_type(s.seqtypid, NULL) AS type, s.seqstart AS start, s.seqincrement AS increment,
           s.seqmin AS minimum, s.seqmax AS maximum, s.seqcache AS cache, s.seqcycle AS cycles,
           d.deptype = 'i' AS is_identity, d.refobjid AS relation, d.refobjsubid AS number
      FROM pg_catalog.unnest(%(relations)s::oid[]) AS own (oid)
      JOIN pg_catalog.pg_sequence AS s ON s.seqrelid = own.oid
      LEFT JOIN pg_catalog.pg_depend AS d
             ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = s.seqrelid
            AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i')
"""

STATISTICS = """
    SELECT s.oid, s.stxname AS name, s.stxrelid::pg_catalog.regclass::text AS "table", s.stxkind::text[] AS kinds,
           pg_catalog.pg_get_statisticsobjdef_columns(s.oid) AS columns,
           CASE WHEN s.stxstattarget >= 0 THEN s.stxstattarget END AS target,
           pg_catalog.obj_description(s.oid, 'pg_statistic_ext') AS comment
      FROM pg_catalog.unnest(%(statistics)s::oid[]) AS own (oid)
      JOIN pg_catalog.pg_statistic_ext AS s ON s.oid = own.oid
"""

DEPENDENCIES = """
    SELECT own.catalog, own.oid, r.relname AS ref_catalog, d.refobjid AS ref_oid, d.deptype::text AS type
      FROM ROWS FROM (pg_catalog.unnest(%(catalogs)s::text[]), pg_catalog.unnest(%(oids)s::oid[])) AS own (catalog, oid)
      JOIN pg_catalog.pg_depend AS d
        ON d.classid = ('pg_catalog.' || own.catalog)::pg_catalog.regclass AND d.objid = own.oid
      JOIN pg_catalog.pg_class AS r ON r.oid = d.refclassid
     WHERE d.deptype IN ('n', 'a', 'i', 'x')
"""

BY_NAME = {
    "default_privileges": DEFAULT_PRIVILEGES,
    "collations": COLLATIONS,
    "routines": ROUTINES,
    "relations": RELATIONS,
    "columns": COLUMNS,
    "constraints": CONSTRAINTS,
    "indexes": INDEXES,
    "triggers": TRIGGERS,
    "rules": RULES,
    "policies": POLICIES,
    "sequences": SEQUENCES,
    "statistics": STATISTICS,
}
"""Those that need no more than the oids of the schema's members and of its composite types."""
