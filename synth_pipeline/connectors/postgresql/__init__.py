"""PostgreSQL: the catalogue read in bulk from pg_catalog, rows by COPY both ways, definitions in the server's own words.

`session` opens connections, `types` gives native types their meaning, `catalog` holds the queries, `definitions` spells
statements from what they return, `reflect` makes the schema; `values` converts between COPY's text and Arrow,
`connector` reads, `target` decides where an export goes and `load` carries it out.
"""
