"""Any database that SQLAlchemy knows: reflected by its inspector, read by portable SQL, written by its compiler.

`traits` holds as data what SQLAlchemy does not say of a database, `session` opens connections, `types` and `values`
translate types and values, `reflect` makes the schema, `keys` sends batches of keys; `connector` reads, `ddl` spells
definitions, `target` decides where an export goes and `load` carries it out.
"""
