"""Pictures that clients name by URL, fetched without becoming a way into the private network."""
