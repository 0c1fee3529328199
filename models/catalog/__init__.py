"""Which model versions exist, where their files come from, and how they become artifacts on disk."""
