"""SQLite: a database is a file, values carry their own types, and nothing but the standard library is needed.

`ddl` reads what PRAGMAs do not tell, `reflect` and `probe` make the catalogue, `values` converts between stored values
and Arrow, `connector` reads, `target` writes.
"""
