"""A deterministic telecom database, so that the program runs without a server."""
