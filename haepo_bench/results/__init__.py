"""The run record (the file format), the store, data frames."""
