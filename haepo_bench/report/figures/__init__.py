"""A report's figures, PNG and SVG."""
