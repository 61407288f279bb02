"""Tasks around other tasks."""
