-- A DuckDB database with everything that is hard to copy, used by the tests of the connector and of exports to other databases.
CREATE SCHEMA "Sales Ops";
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy');
CREATE SEQUENCE numbers START 5 INCREMENT 5;
CREATE SEQUENCE "Sales Ops".codes MAXVALUE 9000 CYCLE;
CREATE SEQUENCE lonely START 7;
CREATE TABLE person (
    id BIGINT DEFAULT nextval('numbers') PRIMARY KEY, "na""me" VARCHAR COLLATE NOCASE UNIQUE, mood mood DEFAULT 'sad', tags VARCHAR[],
    pair STRUCT(a INTEGER, "b c" VARCHAR), bag MAP(VARCHAR, DOUBLE), either UNION(n INTEGER, s VARCHAR), three INTEGER[3],
    boss BIGINT REFERENCES person (id), twofold BIGINT GENERATED ALWAYS AS (id * 2), span INTERVAL, doc JSON, bits BIT, hour TIMETZ,
    nano TIMESTAMP_NS, vast UBIGINT, CHECK (length("na""me") < 20), CHECK (regexp_matches("na""me", '^n'))
);
CREATE TABLE "Sales Ops"."order" (
    no INTEGER DEFAULT nextval('"Sales Ops".codes'), line SMALLINT, note VARCHAR DEFAULT 'it''s', PRIMARY KEY (no, line)
);
CREATE TABLE "Sales Ops".item (no INTEGER, line SMALLINT, FOREIGN KEY (no, line) REFERENCES "order" (no, line));
CREATE UNIQUE INDEX by_boss ON person (boss, "na""me");
CREATE INDEX computed ON person ((id % 7));
CREATE INDEX noted ON "Sales Ops"."order" (note);
CREATE MACRO twice(a) AS a * 2;
CREATE MACRO recent(n) AS TABLE SELECT * FROM person WHERE id > n;
CREATE VIEW listed AS SELECT id, list_sum(three) AS n FROM person;
CREATE VIEW later AS SELECT id FROM person WHERE id > 50;
CREATE VIEW "Sales Ops".all_orders AS SELECT no, count(*) AS n FROM "Sales Ops"."order" GROUP BY no;
COMMENT ON TABLE person IS 'who; it''s
one line';
COMMENT ON COLUMN person."na""me" IS 'called';
COMMENT ON VIEW later IS 'v';
COMMENT ON SEQUENCE numbers IS 's';
COMMENT ON TYPE mood IS 't';
COMMENT ON INDEX by_boss IS 'i';

INSERT INTO person (id, "na""me", mood, tags, pair, bag, either, three, span, doc, bits, hour, nano, vast)
SELECT i, 'n' || i, 'it''s ok', ['a', 'b,c' || i, NULL], {'a': i, 'b c': 'x'}, MAP {'k': i / 3}, 's' || i, [i, i, NULL], to_days(i::INTEGER),
    '{"i": ' || i || '}', '0101', '10:00:00+02', '1850-01-01 00:00:00', 18446744073709551000 + i FROM range(1, 101) r(i);
INSERT INTO person (id, boss) SELECT i, i // 2 FROM range(101, 202) r(i);
INSERT INTO person (id, boss) SELECT i, i - 100 FROM range(202, 300) r(i);
INSERT INTO "Sales Ops"."order" SELECT i, i % 3, NULL FROM range(50) r(i);
INSERT INTO "Sales Ops".item SELECT i, i % 3 FROM range(50) r(i);
