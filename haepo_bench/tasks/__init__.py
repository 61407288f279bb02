"""Tasks, one file a family; wrappers that make one task into another."""
