"""How databases are reached: one module per family behind the protocol of `base`."""
