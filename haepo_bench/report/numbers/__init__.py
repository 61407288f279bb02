"""From stored runs to the numbers of a report."""
