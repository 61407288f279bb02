"""Python files in a suite's folder as algorithms and tasks: named, read, hashed and imported."""
