"""Programs that print tables of speed, quality and robustness; they test nothing and are no part of the package."""
