"""The YAML contract: schema, loading with line numbers, plan, identity."""
