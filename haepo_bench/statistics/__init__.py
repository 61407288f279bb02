"""Pure functions on arrays: aggregates, intervals, curves, survival, comparisons, power (docs/statistics.md)."""
