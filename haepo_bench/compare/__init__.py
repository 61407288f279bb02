"""Two or more results side by side."""
