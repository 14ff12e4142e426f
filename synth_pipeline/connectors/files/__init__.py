"""A folder of CSV or Parquet files as a source and as a target: `files:///absolute/folder`, `files://relative/folder`.

Every file is a table. A source is copied to a temporary SQLite database when it is first read, so that everything else works
on it as on SQLite: its schema has the dialect `sqlite`, and can be exported to a folder or to a SQLite file alike.
"""
