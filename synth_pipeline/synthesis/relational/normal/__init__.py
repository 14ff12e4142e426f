"""A database that is not in normal form is brought there before it is learnt, and back when its rows are written.

Where a fact is repeated on many rows (the date and the customer on every line of a receipt), nothing that looks at one row
keeps it the same on all of them. Here each fact comes to stand once, in a table of its own that the rows refer to; all that is
known of tables and keys (counts, siblings, copies, totals) then holds for it as for any other. What is added is never
written. How a table is learnt or drawn does not belong here.
"""
