"""A telecom operator's database in SQLite, so that the program runs with no server: 231,000 rows, the same for each seed.

    client (4,000) ─┬─ location (5,000)
                    └─ account (6,000) ── invoice (108,000) ── payment (108,000)

All of it is invented: names, numbers and amounts come from short word lists and a seeded generator. It is meant to be hard
to imitate. What is planted, and what a good synthetic copy therefore keeps:

Rules without exception
  - invoice.total = base_fee + usage_charge - discount + tax; tax is 20 % of the rest, to the cent; 1 ≤ total ≤ 1,000
  - invoice.base_fee is the monthly_fee of its account; monthly_fee follows from the plan; data_limit_gb too
  - invoices of an account are issued once a month, on its billing day, from the month after opened_on; due_on is 14 days later
  - one payment per invoice, of exactly its total; paid_at is never before issued_on, and NULL where the payment is open or
    written off; `late` is what was paid after due_on
  - closed_on is never before opened_on, and set exactly where the status is closed; an account opens on or after the day
    on which its client registered; one location of a kind per client; SIM numbers carry a check digit

Dependences
  - plan by region and age; business clients hold many accounts (a heavy tail), 200 clients hold none
  - usage and amounts by plan, by an account's own level (log-normal), by season (December, and roaming in July and August)
    and over the years (more data, fewer messages); discounts by loyalty and segment
  - method of payment by age; late payment by reliability of the client, his recent history, the amount and the method
  - first names by sex and generation, cities by region, postal codes and coordinates by city; e-mail from the name
  - NULLs that depend on other columns: e-mail by age, data usage by plan, sex for businesses, end of validity

Views, a trigger, CHECK constraints, unique keys over several columns and a partial index are part of it. How the program
treats such a database does not belong here.
"""

from __future__ import annotations

from synth_pipeline.demo.build import SEED, build

__all__ = ["SEED", "build"]
