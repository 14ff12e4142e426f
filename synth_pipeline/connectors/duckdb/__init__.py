"""DuckDB: a database that is one file, read and written natively through Arrow.

`session` opens files, `types` gives native types their meaning, `reflect` reads the catalogue, `values` says how columns
are read and written, `connector` reads, `target` and `load` write; `spelling` is for schemas of other databases.
"""
