"""The Dagster layer: partitions, resources, IO managers, assets, checks, automation."""
