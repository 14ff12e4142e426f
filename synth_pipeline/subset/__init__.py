"""Referential First Search: a bounded, unbiased training subset without a dangling reference."""
