"""Tasks whose environments others wrote."""
