"""SQL Server (2019 and newer, Azure SQL).

Data definition is transactional, so that an export is one commit. Texts are hashed as UTF-8 by way of a collation that keeps
them so; keys go as JSON.
"""

from synth_pipeline.connectors.generic.traits import Traits

_UTF8 = "HASHBYTES('MD5', CAST(({0}) COLLATE Latin1_General_100_BIN2_UTF8 AS VARCHAR(8000)))"
_FIXED = ("accessadmin", "backupoperator", "datareader", "datawriter", "ddladmin", "denydatareader", "denydatawriter", "owner", "securityadmin")

TRAITS = Traits(
    "mssql", "mssql+mssqlpython", "mssql_python", "mssql", swap="transaction", late_constraints=False, all_schemas=True, max_params=2_000,
    isolation_allowed="SELECT snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID()", isolation="SNAPSHOT",
    system_schemas=("sys", "information_schema", "guest", *(f"db_{name}" for name in _FIXED)),
    identity="SELECT CAST(SERVERPROPERTY('ServerName') AS NVARCHAR(256)), CAST(DB_NAME() AS NVARCHAR(256)), SCHEMA_NAME()",
    identity_on="SET IDENTITY_INSERT {0} ON", identity_off="SET IDENTITY_INSERT {0} OFF", next_identity="DBCC CHECKIDENT ('{0}', RESEED, {4})",
    sqlglot="tsql", identity_clause="IDENTITY(1,1)", generated_clause="AS ({0}) PERSISTED", generated_typed=False, boolean_literals=("1", "0"),
    types={
        "text": "NVARCHAR(MAX)", "binary": "VARBINARY(MAX)", "boolean": "BIT", "datetime": "DATETIME2(6)", "timestamp": "DATETIMEOFFSET(6)",
        "time": "TIME(6)", "uuid": "UNIQUEIDENTIFIER", "xml": "XML",
    },
    dialect={
        "as_text": "CONVERT(NVARCHAR(4000), {0}, 121)", "text_type": "VARCHAR(8000)", "binary_text": "CONVERT(VARCHAR(8000), {0}, 2)",
        "text_number": f"(CAST(SUBSTRING({_UTF8}, 1, 7) AS BIGINT) * 16 + CAST(SUBSTRING({_UTF8}, 8, 1) AS INT) / 16)",
        "key_relation": "OPENJSON({0}) AS j", "key_item": "JSON_VALUE(j.value, '$[{0}]')",
        "limit": "{0} ORDER BY 1 OFFSET 0 ROWS FETCH NEXT {1} ROWS ONLY", "reads": (("geometry", "{0}.STAsBinary()"),),
        "ungrouped": r"^N?TEXT\b",
    },
)  # fmt: skip
