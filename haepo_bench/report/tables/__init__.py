"""A report's document as words and text cells."""
