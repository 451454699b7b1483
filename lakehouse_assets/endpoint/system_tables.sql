-- Rows that follow from others, and the functions of PostgreSQL that statements on system tables
-- call.
INSERT INTO pg_database (oid, datname, datdba, encoding, datlocprovider, datistemplate,
    datallowconn, datconnlimit, dattablespace, datcollate, datctype)
VALUES (5, 'lake', 10, 6, 'c', false, true, -1, 1663, 'C.UTF-8', 'C.UTF-8');
INSERT INTO pg_tablespace (oid, spcname, spcowner) VALUES (1663, 'pg_default', 10);
INSERT INTO pg_am (oid, amname, amhandler, amtype)
VALUES (2, 'heap', 0, 't'), (403, 'btree', 0, 'i');
INSERT INTO pg_language (oid, lanname, lanowner, lanispl, lanpltrusted)
VALUES (12, 'internal', 10, false, false), (14, 'sql', 10, false, true);
INSERT INTO pg_collation (oid, collname, collnamespace, collowner, collprovider,
    collisdeterministic, collencoding)
VALUES (100, 'default', 11, 10, 'd', true, -1), (950, 'C', 11, 10, 'c', true, -1);
INSERT INTO pg_description (objoid, classoid, objsubid, description)
VALUES (23, 1247, 0, 'whole number, 4 bytes');
INSERT INTO pg_user (usename, usesysid, usecreatedb, usesuper, userepl, usebypassrls)
SELECT rolname, oid, false, rolsuper, false, rolbypassrls FROM pg_roles WHERE rolcanlogin;
INSERT INTO pg_authid (oid, rolname, rolsuper, rolinherit, rolcanlogin)
SELECT oid, rolname, rolsuper, rolinherit, rolcanlogin FROM pg_roles;
INSERT INTO pg_tables (schemaname, tablename, tableowner, hasindexes, hasrules, hastriggers,
    rowsecurity)
SELECT nspname, relname, 'lakehouse', relhasindex, false, false, false
FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r';
INSERT INTO pg_views (schemaname, viewname, viewowner)
SELECT nspname, relname, 'lakehouse'
FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'v';

CREATE VIEW own_columns AS
SELECT n.nspname, c.relname, c.relkind, c.oid AS relation, a.attname, a.attnum, a.atttypid,
    a.atttypmod, a.attnotnull
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n
    ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v');
CREATE VIEW own_constraints AS
SELECT n.nspname, c.relname, con.conname, con.contype, con.oid, con.confrelid,
    unnest(con.conkey) AS attnum, generate_subscripts(con.conkey, 1) AS position,
    unnest(con.confkey) AS to_attnum, con.conrelid
FROM pg_constraint con JOIN pg_class c ON c.oid = con.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace;
INSERT INTO info.information_schema_catalog_name VALUES ('lake');
INSERT INTO info.character_sets (character_set_name, character_repertoire, form_of_use,
    default_collate_catalog, default_collate_schema, default_collate_name)
VALUES ('UTF8', 'UCS', 'UTF8', 'lake', 'pg_catalog', 'C.UTF-8');
INSERT INTO info.schemata (catalog_name, schema_name, schema_owner)
SELECT 'lake', nspname, 'lakehouse' FROM pg_namespace;
INSERT INTO info.tables (table_catalog, table_schema, table_name, table_type, is_insertable_into,
    is_typed)
SELECT 'lake', nspname, relname, CASE relkind WHEN 'r' THEN 'BASE TABLE' ELSE 'VIEW' END, 'NO', 'NO'
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE relkind IN ('r', 'v');
INSERT INTO info.views (table_catalog, table_schema, table_name, check_option, is_updatable,
    is_insertable_into)
SELECT 'lake', nspname, relname, 'NONE', 'NO', 'NO'
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE relkind = 'v';
INSERT INTO info.columns (table_catalog, table_schema, table_name, column_name, ordinal_position,
    is_nullable, data_type, numeric_precision, numeric_precision_radix, numeric_scale,
    datetime_precision, udt_catalog, udt_schema, udt_name, dtd_identifier, is_self_referencing,
    is_identity, is_generated, is_updatable)
SELECT 'lake', nspname, relname, attname, attnum, CASE WHEN attnotnull THEN 'NO' ELSE 'YES' END,
    CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN 'ARRAY' ELSE names.name END,
    CASE atttypid WHEN 20 THEN 64 WHEN 23 THEN 32 WHEN 701 THEN 53
        WHEN 1700 THEN (atttypmod - 4) >> 16 END,
    CASE WHEN atttypid IN (20, 23, 701) THEN 2 WHEN atttypid = 1700 THEN 10 END,
    CASE WHEN atttypid IN (20, 23) THEN 0 WHEN atttypid = 1700 THEN (atttypmod - 4) & 65535 END,
    CASE WHEN atttypid IN (1114, 1184) THEN 6 WHEN atttypid = 1082 THEN 0 END,
    'lake', 'pg_catalog', t.typname, attnum, 'NO', 'NO', 'NEVER', 'NO'
FROM own_columns JOIN pg_type t ON t.oid = atttypid JOIN type_names names ON names.oid = atttypid;
INSERT INTO info.table_constraints (constraint_catalog, constraint_schema, constraint_name,
    table_catalog, table_schema, table_name, constraint_type, is_deferrable, initially_deferred,
    enforced)
SELECT DISTINCT 'lake', nspname, conname, 'lake', nspname, relname,
    CASE contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'FOREIGN KEY' END, 'NO', 'NO', 'YES'
FROM own_constraints;
INSERT INTO info.key_column_usage (constraint_catalog, constraint_schema, constraint_name,
    table_catalog, table_schema, table_name, column_name, ordinal_position,
    position_in_unique_constraint)
SELECT 'lake', c.nspname, c.conname, 'lake', c.nspname, c.relname, a.attname, c.position,
    CASE contype WHEN 'f' THEN c.position END
FROM own_constraints c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.attnum;
INSERT INTO info.constraint_column_usage (table_catalog, table_schema, table_name, column_name,
    constraint_catalog, constraint_schema, constraint_name)
SELECT 'lake', n.nspname, t.relname, a.attname, 'lake', c.nspname, c.conname
FROM own_constraints c
    JOIN pg_class t ON t.oid = CASE contype WHEN 'f' THEN confrelid ELSE conrelid END
    JOIN pg_namespace n ON n.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = coalesce(c.to_attnum, c.attnum);
INSERT INTO info.referential_constraints (constraint_catalog, constraint_schema, constraint_name,
    unique_constraint_catalog, unique_constraint_schema, unique_constraint_name, match_option,
    update_rule, delete_rule)
SELECT DISTINCT 'lake', c.nspname, c.conname, 'lake', n.nspname, t.relname || '_pkey', 'NONE',
    'NO ACTION', 'NO ACTION'
FROM own_constraints c JOIN pg_class t ON t.oid = c.confrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE contype = 'f';

CREATE MACRO pg_name(x) AS CASE WHEN regexp_full_match(x, '[a-z_][a-z0-9_]*') THEN x
    ELSE '"' || replace(x, '"', '""') || '"' END;
CREATE MACRO quote_ident(x) AS pg_name(x);
-- What functions return, by the number of the object: a macro that looked into a table would take
-- its argument for a column of that table, if it has that name.
CREATE MACRO columns_named(relation, numbers) AS (
    SELECT string_agg(pg_name(attname), ', ' ORDER BY list_position(numbers, attnum))
    FROM pg_attribute WHERE attrelid = relation AND list_contains(numbers, attnum));
CREATE TABLE names_of AS
SELECT c.oid AS of, c.relname AS bare, n.nspname || '.' || c.relname AS full_name,
    pg_name(n.nspname) || '.' || pg_name(c.relname) AS quoted
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace;
CREATE TABLE lookups AS SELECT
    (SELECT map(list(of), list(quoted)) FROM names_of) AS relations,
    (SELECT map(list(name), list(of)) FROM (
        SELECT full_name AS name, of FROM names_of
        UNION ALL SELECT bare, min(of) FROM names_of GROUP BY bare)) AS numbers,
    (SELECT map(list(bare), list(n)) FROM (
        SELECT bare, count(*) AS n FROM names_of GROUP BY bare)) AS counts,
    (SELECT map(list(of), list(bare)) FROM names_of) AS bare_names,
    (SELECT map(list(oid), list(name)) FROM (
        SELECT t.oid, coalesce(e.name || '[]', n.name) AS name
        FROM pg_type t JOIN type_names n ON n.oid = t.oid
        LEFT JOIN type_names e ON e.oid = t.typelem AND t.typlen = -1 AND t.typelem <> 0)
    ) AS types,
    (SELECT map(list(name), list(oid)) FROM (
        SELECT name, min(oid) AS oid FROM (SELECT typname AS name, oid FROM pg_type
        UNION ALL SELECT name, oid FROM type_names) GROUP BY name)) AS type_numbers,
    (SELECT map(list(proname), list(oid)) FROM pg_proc) AS function_numbers,
    (SELECT map(list(oid), list(proname)) FROM pg_proc) AS functions,
    (SELECT map(list(nspname), list(oid)) FROM pg_namespace) AS namespace_numbers,
    (SELECT map(list(oid), list(nspname)) FROM pg_namespace) AS namespaces,
    (SELECT map(list(rolname), list(oid)) FROM pg_roles) AS role_numbers,
    (SELECT map(list(oid), list(rolname)) FROM pg_roles) AS roles,
    (SELECT map(list(objoid || '.' || objsubid), list(description)) FROM pg_description)
        AS descriptions,
    (SELECT map(list(oid), list(text)) FROM (
        SELECT k.oid, CASE contype
            WHEN 'p' THEN 'PRIMARY KEY (' || columns_named(conrelid, conkey) || ')'
            ELSE 'FOREIGN KEY (' || columns_named(conrelid, conkey) || ') REFERENCES '
                || t.quoted || '(' || columns_named(confrelid, confkey) || ')' END AS text
        FROM pg_constraint k LEFT JOIN names_of t ON t.of = confrelid)) AS constraints,
    (SELECT map(list(indexrelid), list(text)) FROM (
        SELECT indexrelid, 'CREATE UNIQUE INDEX ' || pg_name(i.bare) || ' ON ' || t.quoted
            || ' USING btree (' || columns_named(indrelid, indkey) || ')' AS text
        FROM pg_index JOIN names_of i ON i.of = indexrelid JOIN names_of t ON t.of = indrelid)
    ) AS indexes,
    (SELECT map(list(attrelid || '.' || attnum), list(attname)) FROM pg_attribute) AS attributes;
CREATE MACRO found_in(known, key) AS map_extract(known, key)[1];
CREATE MACRO relation_name(number) AS found_in((SELECT relations FROM lookups), number::UINTEGER);
CREATE MACRO relation_number(text) AS coalesce(try_cast(text AS UINTEGER),
    found_in((SELECT numbers FROM lookups), replace(text, '"', '')));
CREATE MACRO type_number(text) AS coalesce(try_cast(text AS UINTEGER),
    found_in((SELECT type_numbers FROM lookups),
        replace(replace(text, 'pg_catalog.', ''), '"', '')));
CREATE MACRO type_name(number) AS found_in((SELECT types FROM lookups), number::UINTEGER);
CREATE MACRO function_number(text) AS found_in((SELECT function_numbers FROM lookups),
    replace(text, 'pg_catalog.', ''));
CREATE MACRO function_name(number) AS
    coalesce(found_in((SELECT functions FROM lookups), number::UINTEGER), '-');
CREATE MACRO namespace_number(text) AS
    found_in((SELECT namespace_numbers FROM lookups), replace(text, '"', ''));
CREATE MACRO namespace_name(number) AS
    found_in((SELECT namespaces FROM lookups), number::UINTEGER);
CREATE MACRO role_number(text) AS found_in((SELECT role_numbers FROM lookups), text);
CREATE MACRO role_name(number) AS found_in((SELECT roles FROM lookups), number::UINTEGER);
CREATE MACRO to_regclass(text) AS relation_number(text);
CREATE MACRO to_regtype(text) AS type_number(text);
CREATE MACRO to_regnamespace(text) AS namespace_number(text);
CREATE MACRO pg_get_userbyid(number) AS coalesce(role_name(number), 'lakehouse');
CREATE MACRO format_type(kind, modifier) AS CASE
    WHEN kind = 1700 AND coalesce(modifier, -1) > 4
    THEN 'numeric(' || ((modifier - 4) >> 16) || ',' || ((modifier - 4) & 65535) || ')'
    ELSE type_name(kind) END;
CREATE MACRO pg_get_constraintdef(number) AS
        found_in((SELECT constraints FROM lookups), number::UINTEGER),
    (number, pretty) AS found_in((SELECT constraints FROM lookups), number::UINTEGER);
CREATE MACRO pg_get_indexdef(number) AS
        found_in((SELECT indexes FROM lookups), number::UINTEGER),
    (number, place, pretty) AS CASE
        WHEN place = 0 THEN found_in((SELECT indexes FROM lookups), number::UINTEGER)
        ELSE found_in((SELECT attributes FROM lookups), number || '.' || place) END;
CREATE MACRO obj_description(number) AS
        found_in((SELECT descriptions FROM lookups), number || '.0'),
    (number, class) AS found_in((SELECT descriptions FROM lookups), number || '.0');
CREATE MACRO col_description(number, place) AS
    found_in((SELECT descriptions FROM lookups), number || '.' || place);
CREATE MACRO pg_table_is_visible(number) AS coalesce(found_in((SELECT counts FROM lookups),
    found_in((SELECT bare_names FROM lookups), number::UINTEGER)), 1) < 2;
CREATE MACRO pg_get_expr(x, relation) AS x, (x, relation, pretty) AS x;
CREATE MACRO pg_get_viewdef(x) AS NULL::VARCHAR, (x, pretty) AS NULL::VARCHAR;
CREATE MACRO pg_get_ruledef(x) AS NULL::VARCHAR, (x, pretty) AS NULL::VARCHAR;
CREATE MACRO pg_get_triggerdef(x) AS NULL::VARCHAR, (x, pretty) AS NULL::VARCHAR;
CREATE MACRO pg_get_partkeydef(x) AS NULL::VARCHAR;
CREATE MACRO pg_get_functiondef(x) AS NULL::VARCHAR;
CREATE MACRO pg_get_function_result(x) AS NULL::VARCHAR;
CREATE MACRO pg_get_function_arguments(x) AS NULL::VARCHAR;
CREATE MACRO pg_get_function_identity_arguments(x) AS NULL::VARCHAR;
CREATE MACRO pg_get_serial_sequence(x, y) AS NULL::VARCHAR;
CREATE MACRO pg_get_statisticsobjdef_columns(x) AS NULL::VARCHAR;
CREATE MACRO shobj_description(number, class) AS NULL::VARCHAR;
CREATE MACRO pg_type_is_visible(number) AS true;
CREATE MACRO pg_function_is_visible(number) AS true;
CREATE MACRO pg_collation_is_visible(number) AS true;
CREATE MACRO pg_operator_is_visible(number) AS true;
CREATE MACRO pg_opclass_is_visible(number) AS true;
CREATE MACRO pg_statistics_obj_is_visible(number) AS true;
CREATE MACRO may_read(privilege) AS regexp_matches(upper(privilege), 'SELECT|USAGE|CONNECT');
CREATE MACRO has_table_privilege(x, privilege) AS may_read(privilege),
    (who, x, privilege) AS may_read(privilege);
CREATE MACRO has_any_column_privilege(x, privilege) AS may_read(privilege),
    (who, x, privilege) AS may_read(privilege);
CREATE MACRO has_schema_privilege(x, privilege) AS may_read(privilege),
    (who, x, privilege) AS may_read(privilege);
CREATE MACRO has_database_privilege(x, privilege) AS may_read(privilege),
    (who, x, privilege) AS may_read(privilege);
CREATE MACRO has_column_privilege(x, col, privilege) AS may_read(privilege),
    (who, x, col, privilege) AS may_read(privilege);
CREATE MACRO has_function_privilege(x, privilege) AS false, (who, x, privilege) AS false;
CREATE MACRO has_sequence_privilege(x, privilege) AS false, (who, x, privilege) AS false;
CREATE MACRO has_type_privilege(x, privilege) AS true, (who, x, privilege) AS true;
CREATE MACRO pg_has_role(x, privilege) AS true, (who, x, privilege) AS true;
CREATE MACRO pg_relation_size(x) AS 0::BIGINT, (x, fork) AS 0::BIGINT;
CREATE MACRO pg_total_relation_size(x) AS 0::BIGINT;
CREATE MACRO pg_table_size(x) AS 0::BIGINT;
CREATE MACRO pg_indexes_size(x) AS 0::BIGINT;
CREATE MACRO pg_database_size(x) AS 0::BIGINT;
CREATE MACRO pg_tablespace_size(x) AS 0::BIGINT;
CREATE MACRO pg_size_pretty(x) AS '0 bytes';
CREATE MACRO pg_tablespace_location(x) AS '';
CREATE MACRO pg_stat_get_numscans(x) AS 0::BIGINT;
CREATE MACRO pg_relation_is_updatable(x, y) AS 0;
CREATE MACRO pg_column_is_updatable(x, y, z) AS false;
CREATE MACRO pg_relation_is_publishable(x) AS false;
CREATE MACRO pg_is_in_recovery() AS false;
CREATE MACRO pg_is_other_temp_schema(x) AS false;
CREATE MACRO pg_my_temp_schema() AS 0::UINTEGER;
CREATE MACRO pg_encoding_to_char(x) AS CASE x WHEN 6 THEN 'UTF8' ELSE '' END;
CREATE MACRO pg_char_to_encoding(x) AS CASE WHEN upper(x) IN ('UTF8', 'UTF-8') THEN 6 ELSE -1 END;
CREATE MACRO pg_postmaster_start_time() AS NULL::TIMESTAMPTZ;
CREATE MACRO pg_get_keywords() AS TABLE SELECT NULL::VARCHAR AS word, NULL::VARCHAR AS catcode
WHERE false;
CREATE MACRO _pg_expandarray(a) AS unnest(list_transform(a, (v, i) -> {'x': v, 'n': i}));
CREATE MACRO array_lower(a, dimension) AS CASE WHEN len(a) > 0 THEN 1 END;
CREATE MACRO array_upper(a, dimension) AS CASE WHEN len(a) > 0 THEN len(a)::INTEGER END;
CREATE MACRO getdatabaseencoding() AS 'UTF8';
CREATE MACRO pg_partition_ancestors(x) AS NULL::UINTEGER;
