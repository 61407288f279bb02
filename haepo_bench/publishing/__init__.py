"""Results as a folder for any static host, without what says who made them and where; and checking such a folder."""
