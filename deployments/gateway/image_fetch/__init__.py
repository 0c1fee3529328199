"""Images that clients name by URL, fetched without letting clients reach the private network (no SSRF)."""
