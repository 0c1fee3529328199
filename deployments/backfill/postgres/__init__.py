"""What a source and a sink in PostgreSQL have in common."""
