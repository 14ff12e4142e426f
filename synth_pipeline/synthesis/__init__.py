"""Synthesizers: the protocol, the registry, the relational engine and the adapters over SDV."""
