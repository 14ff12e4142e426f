"""MySQL and MariaDB: one snapshot on one connection, rows by LOAD DATA, definitions in the server's own words (SHOW CREATE).

`session` opens connections, `types` gives native types their meaning, `ddl` reads and changes definitions, `reflect` makes
the schema; `values` converts between the server's text and Arrow, `validity` replaces what a type would not take;
`connector` reads, `target` decides where an export goes, `load` carries it out and `swap` puts it in place.
"""
