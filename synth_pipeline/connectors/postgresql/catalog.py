"""The questions to pg_catalog: one statement per kind of object, for all schemas at once, for any role that may connect.

`%(schemas)s` is the array of the schemas' oids. Objects of extensions are left to their extension. What the answers mean
is the business of `reflect` and `definitions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.rows import namedtuple_row

if TYPE_CHECKING:
    from synth_pipeline.connectors.postgresql.session import Connection


def _own(catalog: str, oid: str) -> str:
    return (
        f"NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = 'pg_catalog.{catalog}'::regclass AND e.objid = {oid} AND e.deptype = 'e')"
    )


_RELATION = f"c.relnamespace = ANY(%(schemas)s) AND {_own('pg_class', 'c.oid')}"
_TABLE = f"c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {_RELATION}"
# Newer minor releases stamp every column with a version of its definition, which is the server's own and not for a copy.
_OPTIONS = "ARRAY(SELECT o::text FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg_attver=%%')"

QUERIES = {
    "schemas": """
        SELECT n.oid, n.nspname AS name, pg_get_userbyid(n.nspowner) AS owner FROM pg_namespace n
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND has_schema_privilege(n.oid, 'USAGE')
        ORDER BY n.nspname <> 'public', n.nspname
    """,
    "types": """
        SELECT t.oid, t.typname, t.typnamespace = 'pg_catalog'::regnamespace AS builtin, t.typtype,
            CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END::bigint AS element, t.typbasetype, t.typtypmod, t.typnotnull,
            (SELECT array_agg(l.enumlabel::text ORDER BY l.enumsortorder) FROM pg_enum l WHERE l.enumtypid = t.oid) AS labels
        FROM pg_type t WHERE t.typtype <> 'c'
    """,
    "tables": f"""
        SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.relpersistence AS persistence, c.relispartition AS is_partition,
            c.reltuples::bigint AS estimate, c.relrowsecurity AS row_security, c.relforcerowsecurity AS force_row_security,
            c.relreplident AS replica_identity, c.reloptions::text[] AS options, a.amname AS method,
            CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS partition_key, pg_get_expr(c.relpartbound, c.oid) AS bound,
            obj_description(c.oid, 'pg_class') AS comment, pg_get_partition_constraintdef(c.oid) AS partition_check,
            ARRAY(SELECT i.inhparent::bigint FROM pg_inherits i WHERE i.inhrelid = c.oid ORDER BY i.inhseqno) AS parents
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am a ON a.oid = c.relam
        WHERE {_TABLE} ORDER BY c.oid
    """,
    "columns": f"""
        SELECT a.attrelid AS table, a.attnum AS number, a.attname AS name, a.atttypid AS type, a.atttypmod AS modifier,
            format_type(a.atttypid, a.atttypmod) AS native, a.attnotnull AS not_null, a.attislocal AS local, a.attidentity AS identity,
            a.attgenerated AS generated, pg_get_expr(d.adbin, d.adrelid) AS expression, col_description(a.attrelid, a.attnum) AS comment,
            CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage END AS storage, nullif(a.attcompression, '') AS compression,
            a.attstattarget AS statistics, {_OPTIONS} AS options, coalesce(l.collisdeterministic, true) AS case_sensitive,
            CASE WHEN a.attcollation NOT IN (0, t.typcollation) THEN quote_ident(ln.nspname) || '.' || quote_ident(l.collname) END AS collation
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            LEFT JOIN pg_collation l ON l.oid = a.attcollation LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace
        WHERE a.attnum > 0 AND NOT a.attisdropped AND {_TABLE} ORDER BY a.attrelid, a.attnum
    """,
    "constraints": f"""
        SELECT k.oid, k.conrelid AS table, k.conname AS name, k.contype AS kind, k.conkey::int[] AS columns, k.confrelid AS parent,
            k.confkey::int[] AS parent_columns, k.confdeltype AS on_delete, k.confupdtype AS on_update, k.condeferrable AS deferrable,
            k.conislocal AS local, k.conparentid <> 0 AS inherited, k.convalidated AS validated, k.conindid AS index,
            pg_get_constraintdef(k.oid) AS definition, CASE WHEN k.contype = 'c' THEN pg_get_expr(k.conbin, k.conrelid) END AS expression
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE k.contype IN ('p', 'u', 'x', 'f', 'c', 'n') AND {_TABLE}
        ORDER BY k.conrelid, k.contype = 'f', k.contype <> 'p', k.conname
    """,
    "indexes": f"""
        SELECT i.indexrelid AS oid, i.indrelid AS table, ic.relname AS name, c.relkind AS table_kind, i.indisunique AS is_unique,
            i.indisvalid AS valid,
            i.indkey::int[] AS columns, i.indnkeyatts AS keys, pg_get_expr(i.indpred, i.indrelid) AS predicate, i.indexprs IS NOT NULL AS computed,
            pg_get_indexdef(i.indexrelid) AS definition, k.oid IS NOT NULL AS of_constraint, i.indisclustered AS clustered,
            i.indisreplident AS replica_identity,
            (SELECT h.inhparent FROM pg_inherits h WHERE h.inhrelid = i.indexrelid) AS parent
        FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
            LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
        WHERE c.relkind IN ('r', 'p', 'm') AND {_RELATION} ORDER BY i.indexrelid
    """,
    "sequences": f"""
        SELECT c.oid, n.nspname AS schema, c.relname AS name, format_type(s.seqtypid, NULL) AS type, s.seqstart AS start, s.seqincrement AS increment,
            s.seqmin AS minimum, s.seqmax AS maximum, s.seqcache AS cache, s.seqcycle AS cycle, d.deptype AS owned, d.refobjid AS table,
            d.refobjsubid AS column, c.relpersistence AS persistence,
            CASE WHEN has_sequence_privilege(c.oid, 'SELECT,USAGE') THEN pg_sequence_last_value(c.oid) END AS position
        FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
                AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
        WHERE c.relpersistence <> 't' AND {_RELATION} ORDER BY c.oid
    """,
    "extensions": """
        SELECT e.extname AS name, n.nspname AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname <> 'plpgsql' ORDER BY e.oid
    """,
    "user_types": f"""
        SELECT t.oid, n.nspname AS schema, t.typname AS name, t.typtype AS kind, format_type(t.typbasetype, t.typtypmod) AS base,
            t.typnotnull AS not_null, t.typdefault AS default,
            ARRAY(SELECT l.enumlabel::text FROM pg_enum l WHERE l.enumtypid = t.oid ORDER BY l.enumsortorder) AS labels,
            ARRAY(SELECT quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
                WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS fields,
            ARRAY(SELECT 'CONSTRAINT ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid) FROM pg_constraint k
                WHERE k.contypid = t.oid AND k.contype = 'c' ORDER BY k.conname) AS checks,
            ARRAY(SELECT pg_get_expr(k.conbin, 0) FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c' ORDER BY k.conname) AS conditions,
            (SELECT format_type(r.rngsubtype, NULL) FROM pg_range r WHERE r.rngtypid = t.oid) AS subtype,
            CASE WHEN t.typcollation NOT IN (0, b.typcollation) THEN quote_ident(ln.nspname) || '.' || quote_ident(l.collname) END AS collation
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
            LEFT JOIN pg_type b ON b.oid = t.typbasetype LEFT JOIN pg_collation l ON l.oid = t.typcollation
            LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace
        WHERE (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND c.relkind = 'c') AND t.typnamespace = ANY(%(schemas)s)
            AND {_own("pg_type", "t.oid")} ORDER BY t.oid
    """,
    "functions": f"""
        SELECT p.oid, p.oid::regprocedure::text AS name, CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END AS definition
        FROM pg_proc p WHERE p.pronamespace = ANY(%(schemas)s) AND {_own("pg_proc", "p.oid")}
            AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
        ORDER BY p.oid
    """,
    "aggregates": f"""
        SELECT p.oid, p.oid::regprocedure::text AS name, quote_ident(n.nspname) || '.' || quote_ident(p.proname) AS plain_name,
            pg_get_function_identity_arguments(p.oid) AS arguments, g.aggkind AS kind,
            g.aggtransfn::regproc::text AS transition, format_type(g.aggtranstype, NULL) AS state, nullif(g.aggfinalfn::regproc::text, '-') AS final,
            nullif(g.aggcombinefn::regproc::text, '-') AS combine, nullif(g.aggserialfn::regproc::text, '-') AS serial,
            nullif(g.aggdeserialfn::regproc::text, '-') AS deserial, g.agginitval AS initial, g.aggtransspace AS space, p.proparallel AS parallel,
            g.aggfinalextra AS extra
        FROM pg_aggregate g JOIN pg_proc p ON p.oid = g.aggfnoid JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.pronamespace = ANY(%(schemas)s) AND {_own("pg_proc", "p.oid")} ORDER BY p.oid
    """,
    "views": f"""
        SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, pg_get_viewdef(c.oid) AS definition, c.reloptions::text[] AS options,
            c.relispopulated AS populated
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') AND c.relpersistence <> 't' AND {_RELATION}
        ORDER BY c.oid
    """,
    "triggers": f"""
        SELECT t.tgname AS name, c.oid::regclass::text AS table, pg_get_triggerdef(t.oid) AS definition, t.tgenabled AS enabled
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND {_RELATION} ORDER BY t.oid
    """,
    "rules": f"""
        SELECT r.rulename AS name, c.oid::regclass::text AS table, pg_get_ruledef(r.oid) AS definition, r.ev_enabled AS enabled
        FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE r.rulename <> '_RETURN' AND {_RELATION} ORDER BY r.oid
    """,
    "policies": f"""
        SELECT p.polname AS name, c.oid::regclass::text AS table, p.polpermissive AS permissive, p.polcmd AS command,
            ARRAY(SELECT CASE WHEN r = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END FROM unnest(p.polroles) r) AS roles,
            pg_get_expr(p.polqual, p.polrelid) AS using, pg_get_expr(p.polwithcheck, p.polrelid) AS with_check
        FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE {_RELATION} ORDER BY p.oid
    """,
    "statistics": """
        SELECT quote_ident(n.nspname) || '.' || quote_ident(s.stxname) AS name, pg_get_statisticsobjdef(s.oid) AS definition
        FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE s.stxnamespace = ANY(%(schemas)s) ORDER BY s.oid
    """,
    "comments": """
        SELECT i.type, i.identity, d.description FROM pg_description d CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
            LEFT JOIN pg_constraint k ON d.classoid = 'pg_constraint'::regclass AND k.oid = d.objoid
            LEFT JOIN pg_trigger t ON d.classoid = 'pg_trigger'::regclass AND t.oid = d.objoid
            LEFT JOIN pg_rewrite r ON d.classoid = 'pg_rewrite'::regclass AND r.oid = d.objoid
            LEFT JOIN pg_policy p ON d.classoid = 'pg_policy'::regclass AND p.oid = d.objoid
            LEFT JOIN pg_class c ON c.oid = coalesce(k.conrelid, t.tgrelid, r.ev_class, p.polrelid)
            LEFT JOIN pg_type y ON y.oid = k.contypid
            LEFT JOIN pg_namespace n ON quote_ident(n.nspname) = i.schema
        WHERE (n.oid = ANY(%(schemas)s) OR c.relnamespace = ANY(%(schemas)s) OR y.typnamespace = ANY(%(schemas)s)
                OR d.classoid = 'pg_namespace'::regclass AND d.objoid = ANY(%(schemas)s))
            AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e')
        ORDER BY i.type, i.identity
    """,
    "defaults": f"""
        SELECT d.adrelid AS table, d.adnum AS column, s.oid AS sequence
        FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid
            JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass
            JOIN pg_class s ON s.oid = p.refobjid AND s.relkind = 'S'
        WHERE {_TABLE}
    """,
    "grants": f"""
        SELECT g.kind, g.object, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee,
            array_agg(a.privilege_type || coalesce(g.columns, '') ORDER BY a.privilege_type) AS privileges, a.is_grantable AS grantable
        FROM (
            SELECT 'SCHEMA' AS kind, quote_ident(n.nspname) AS object, n.nspowner AS owner, n.nspacl AS acl, NULL::text AS columns
            FROM pg_namespace n WHERE n.oid = ANY(%(schemas)s)
            UNION ALL SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass::text, c.relowner, c.relacl, NULL
            FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND {_RELATION}
            UNION ALL SELECT 'TABLE', c.oid::regclass::text, c.relowner, a.attacl, ' (' || quote_ident(a.attname) || ')'
            FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND {_RELATION}
            UNION ALL SELECT 'ROUTINE', p.oid::regprocedure::text, p.proowner, p.proacl, NULL
            FROM pg_proc p WHERE p.pronamespace = ANY(%(schemas)s) AND {_own("pg_proc", "p.oid")}
        ) g, LATERAL aclexplode(g.acl) WITH ORDINALITY AS a(grantor, grantee, privilege_type, is_grantable, place)
        WHERE a.grantee <> g.owner
        GROUP BY g.kind, g.object, a.grantee, a.is_grantable, g.columns
        ORDER BY g.kind, g.object, min(a.place)
    """,
    "closed": f"""
        SELECT 'SCHEMA' AS kind, quote_ident(n.nspname) AS object FROM pg_namespace n WHERE n.oid = ANY(%(schemas)s) AND n.nspacl IS NOT NULL
        UNION ALL SELECT 'ROUTINE', p.oid::regprocedure::text FROM pg_proc p
        WHERE p.pronamespace = ANY(%(schemas)s) AND {_own("pg_proc", "p.oid")} AND p.proacl IS NOT NULL ORDER BY 1, 2
    """,
    "from_outside": """
        SELECT DISTINCT v.oid::regclass::text AS what FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
            JOIN pg_class v ON v.oid = r.ev_class JOIN pg_class c ON c.oid = d.refobjid
        WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND c.relnamespace = ANY(%(schemas)s)
            AND NOT v.relnamespace = ANY(%(schemas)s)
        UNION SELECT DISTINCT k.conrelid::regclass::text FROM pg_constraint k JOIN pg_class c ON c.oid = k.confrelid
            JOIN pg_class v ON v.oid = k.conrelid
        WHERE c.relnamespace = ANY(%(schemas)s) AND NOT v.relnamespace = ANY(%(schemas)s)
    """,
    "into_others": """
        SELECT DISTINCT pg_describe_object(d.classid, d.objid, 0) AS what, pg_describe_object(d.refclassid, d.refobjid, 0) AS other
        FROM pg_depend d
            LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
            LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
            LEFT JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
            LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
            LEFT JOIN pg_policy y ON d.classid = 'pg_policy'::regclass AND y.oid = d.objid
            LEFT JOIN pg_class c ON c.oid = coalesce(r.ev_class, k.conrelid, a.adrelid, t.tgrelid, y.polrelid)
                OR d.classid = 'pg_class'::regclass AND c.oid = d.objid
            LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
            LEFT JOIN pg_type e ON e.oid = k.contypid OR d.classid = 'pg_type'::regclass AND e.oid = d.objid
            LEFT JOIN pg_class rc ON d.refclassid = 'pg_class'::regclass AND rc.oid = d.refobjid
            LEFT JOIN pg_proc rp ON d.refclassid = 'pg_proc'::regclass AND rp.oid = d.refobjid
            LEFT JOIN pg_type rt ON d.refclassid = 'pg_type'::regclass AND rt.oid = d.refobjid
            JOIN pg_namespace n ON n.oid = coalesce(c.relnamespace, p.pronamespace, e.typnamespace)
            JOIN pg_namespace o ON o.oid = coalesce(rc.relnamespace, rp.pronamespace, rt.typnamespace)
        WHERE n.oid = ANY(%(schemas)s) AND NOT o.oid = ANY(%(schemas)s) AND o.nspname !~ '^pg_' AND o.nspname <> 'information_schema'
            AND NOT EXISTS (SELECT 1 FROM pg_depend m WHERE m.classid = d.refclassid AND m.objid = d.refobjid AND m.deptype = 'e')
    """,
    "left_out": f"""
        SELECT 'foreign table ' || c.oid::regclass::text AS what FROM pg_class c WHERE c.relkind = 'f' AND {_RELATION}
        UNION ALL SELECT 'operator ' || o.oid::regoperator::text FROM pg_operator o WHERE o.oprnamespace = ANY(%(schemas)s)
            AND {_own("pg_operator", "o.oid")}
        UNION ALL SELECT 'collation ' || l.oid::regcollation::text FROM pg_collation l WHERE l.collnamespace = ANY(%(schemas)s)
            AND {_own("pg_collation", "l.oid")}
        UNION ALL SELECT 'text search configuration ' || f.oid::regconfig::text FROM pg_ts_config f WHERE f.cfgnamespace = ANY(%(schemas)s)
            AND {_own("pg_ts_config", "f.oid")}
        UNION ALL SELECT 'base type ' || format_type(t.oid, NULL) FROM pg_type t WHERE t.typtype = 'b' AND t.typelem = 0
            AND t.typnamespace = ANY(%(schemas)s) AND {_own("pg_type", "t.oid")}
        UNION ALL SELECT 'publication ' || quote_ident(p.pubname) FROM pg_publication p
        UNION ALL SELECT 'event trigger ' || quote_ident(v.evtname) FROM pg_event_trigger v WHERE {_own("pg_event_trigger", "v.oid")}
        ORDER BY 1
    """,
}  # fmt: skip


def ask(connection: Connection, name: str, schemas: list[int] | None = None) -> list[Any]:
    """The rows of one question, with named fields."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(QUERIES[name].encode(), None if schemas is None else {"schemas": schemas}).fetchall()
