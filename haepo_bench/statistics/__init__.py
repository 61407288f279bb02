"""Pure functions on arrays: curves, intervals."""
