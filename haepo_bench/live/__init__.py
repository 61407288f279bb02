"""Results folders looked at while runs go on."""
