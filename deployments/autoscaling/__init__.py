"""How many replicas there should be: one pure law, the policies that Serve calls, and the work they count."""
