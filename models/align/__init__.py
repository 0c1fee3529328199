"""Maps from one version's space into another's: fits, and what they are worth. Pure numpy; docs/align.md has the figures."""
