"""Language tasks, `lm/...`: what they are is in family.py."""
