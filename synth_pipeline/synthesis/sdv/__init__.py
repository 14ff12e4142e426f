"""Adapters over the synthesizers of SDV, for those who want them: `hma`, `gaussian_copula`, `ctgan`."""
