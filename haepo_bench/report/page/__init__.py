"""A report's page: one file that works offline."""
