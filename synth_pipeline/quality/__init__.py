"""How good and how safe a synthetic database is: scores, privacy, expectations, the report."""
