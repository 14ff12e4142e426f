"""Writing a synthetic database in the production schema: load, verify, swap."""
