"""What columns, keys and relationships mean: inference with evidence, and the projection to SDV."""
