-- A PostgreSQL schema of everything that a create_all round trip loses.
CREATE SCHEMA "Sales Ops";
CREATE SCHEMA archive;
COMMENT ON SCHEMA archive IS 'kept';
CREATE TYPE public.mood AS ENUM ('sad', 'it''s ok', 'happy');
CREATE TYPE public.point3 AS (x integer, y integer, label text);
CREATE TYPE public.price_range AS RANGE (subtype = numeric);
CREATE DOMAIN public.percent AS numeric(5,2) DEFAULT 0 NOT NULL CHECK (VALUE >= 0 AND VALUE <= 100);
CREATE DOMAIN public.email AS text CHECK (VALUE ~ '^[^@]+@[^@]+$');
CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.changed := now(); RETURN NEW; END $$;
CREATE SEQUENCE public.codes START 100 INCREMENT 10 CYCLE MAXVALUE 1000000;
CREATE FUNCTION public.next_code() RETURNS text LANGUAGE sql AS $$ SELECT 'C' || nextval('public.codes') $$;
CREATE TABLE public.customer (
    id bigint GENERATED ALWAYS AS IDENTITY (START WITH 5 INCREMENT BY 5),
    code text DEFAULT public.next_code() NOT NULL,
    mail public.email,
    mood public.mood DEFAULT 'sad',
    share public.percent,
    tags text[] DEFAULT '{}' NOT NULL,
    scores integer[],
    doc jsonb,
    at timestamptz,
    wait interval,
    key uuid DEFAULT gen_random_uuid(),
    raw bytea,
    place inet,
    flags bit(4),
    spot public.point3,
    worth money,
    "weird %s ""name" varchar(20),
    initials char(3),
    day date, hour time, real4 real, real8 double precision, exact numeric(30,10), loose numeric,
    upper_mail text GENERATED ALWAYS AS (upper(mail::text)) STORED,
    boss bigint,
    changed timestamp(3),
    CONSTRAINT customer_pk PRIMARY KEY (id),
    CONSTRAINT code_once UNIQUE (code) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT worth_less CHECK (worth IS NULL OR worth < '100000'::money)
);
ALTER TABLE public.customer ADD CONSTRAINT boss_fk FOREIGN KEY (boss) REFERENCES public.customer (id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE "Sales Ops"."Order" (
    no serial PRIMARY KEY,
    customer bigint NOT NULL REFERENCES public.customer (id) ON DELETE CASCADE,
    last_line integer,
    placed date NOT NULL
) WITH (fillfactor = 80);
CREATE TABLE "Sales Ops".line (
    "order" integer NOT NULL REFERENCES "Sales Ops"."Order" (no) ON DELETE CASCADE,
    line integer NOT NULL,
    amount numeric(10,2) NOT NULL CHECK (amount >= 0),
    PRIMARY KEY ("order", line)
);
ALTER TABLE "Sales Ops"."Order" ADD CONSTRAINT last_line_fk FOREIGN KEY (no, last_line) REFERENCES "Sales Ops".line ("order", line);
CREATE TABLE archive.event (id bigint NOT NULL, at date NOT NULL, what text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE archive.event_2024 PARTITION OF archive.event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE archive.event_2025 PARTITION OF archive.event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE INDEX event_what ON archive.event (what);
CREATE TABLE archive.base (id integer PRIMARY KEY, note text);
CREATE TABLE archive.special (extra text DEFAULT 'x') INHERITS (archive.base);
CREATE TABLE archive."empty" ();
CREATE TABLE archive.nokey (a integer, b text);
CREATE INDEX part ON public.customer (lower(mail::text)) WHERE mood = 'happy';
CREATE INDEX search ON public.customer USING gin (doc);
CREATE STATISTICS public.pair ON mood, share FROM public.customer;
CREATE VIEW public.happy AS SELECT c.id, c.mail, o.no FROM public.customer c LEFT JOIN "Sales Ops"."Order" o ON o.customer = c.id WHERE c.mood = 'happy';
CREATE VIEW archive.notes AS SELECT id, note FROM archive.base WHERE id > 0 WITH CASCADED CHECK OPTION;
CREATE VIEW archive."over" AS SELECT id FROM public.happy;
CREATE MATERIALIZED VIEW public.totals AS SELECT "order", sum(amount) AS total FROM "Sales Ops".line GROUP BY 1;
CREATE UNIQUE INDEX totals_once ON public.totals ("order");
CREATE FUNCTION public.of_view() RETURNS SETOF public.happy LANGUAGE sql STABLE AS $$ SELECT * FROM public.happy $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON public.customer FOR EACH ROW EXECUTE FUNCTION public.touch();
ALTER TABLE public.customer ALTER COLUMN doc SET STORAGE EXTERNAL, ALTER COLUMN mail SET STATISTICS 500;
ALTER TABLE public.customer ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON public.customer FOR SELECT USING (true);
COMMENT ON TABLE public.customer IS 'who buys; it''s\none line';
COMMENT ON COLUMN public.customer.mail IS 'where to write';
COMMENT ON CONSTRAINT customer_pk ON public.customer IS 'the key';
COMMENT ON DOMAIN public.email IS 'an address';
COMMENT ON TRIGGER touch ON public.customer IS 'keeps time';
COMMENT ON FUNCTION public.touch() IS 'for triggers';
REVOKE EXECUTE ON FUNCTION public.next_code() FROM PUBLIC;

INSERT INTO public.customer (mail, mood, share, tags, scores, doc, at, wait, raw, place, flags, spot, worth, "weird %s ""name", initials, day, hour, real4, real8, exact, loose, boss)
SELECT 'p' || i || '@example.org', (ARRAY['sad', 'it''s ok', 'happy']::public.mood[])[1 + i % 3], i % 101, ARRAY['t' || i % 4, 'a "b", c'], ARRAY[i, NULL],
    jsonb_build_object('n', i, 's', 'é"' || i), '1890-01-01 00:00+00'::timestamptz + i * interval '1 day 1.000001 sec', i * interval '1 hour', decode(lpad(to_hex(i), 4, '0'), 'hex'),
    ('10.0.' || i % 250 || '.1')::inet, (i % 16)::bit(4), ROW(i, NULL, 'p,"' || i)::public.point3, i::numeric::money, CASE WHEN i % 5 = 0 THEN '' WHEN i % 5 < 4 THEN 'v' || i % 7 END,
    chr(65 + i % 26), date '1850-01-01' + i, time '00:00' + i * interval '1 min', i / 3.0, i / 7.0, i / 7.0, i / 9.0, NULL
FROM generate_series(1, 300) i;
UPDATE public.customer SET boss = 5 * (1 + id::int % 40) WHERE id > 300;
UPDATE public.customer SET day = 'infinity' WHERE id = 10;
UPDATE public.customer SET at = '-infinity' WHERE id = 15;
UPDATE public.customer SET real8 = 'NaN' WHERE id = 20;
INSERT INTO "Sales Ops"."Order" (customer, placed) SELECT 5 * (1 + i % 300), date '2024-01-01' + i % 300 FROM generate_series(1, 500) i;
INSERT INTO "Sales Ops".line SELECT no, l, no * l / 10.0 FROM "Sales Ops"."Order", generate_series(1, 3) l;
UPDATE "Sales Ops"."Order" SET last_line = 2 WHERE no % 2 = 0;
INSERT INTO archive.event SELECT i, date '2024-01-01' + i % 700, 'w' || i % 9 FROM generate_series(1, 400) i;
INSERT INTO archive.base SELECT i, 'base' FROM generate_series(1, 50) i;
INSERT INTO archive.special SELECT 100 + i, 'special', 'e' || i FROM generate_series(1, 60) i;
INSERT INTO archive.nokey SELECT i % 5, 'dup' FROM generate_series(1, 40) i;
REFRESH MATERIALIZED VIEW public.totals;
