"""Which runs to make next: proposes cells and seeds to a plan, reads the store, and runs nothing itself."""
