"""Synthetic databases in the schema of real ones."""

__version__ = "0.1.0"
