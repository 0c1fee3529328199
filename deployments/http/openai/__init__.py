"""OpenAI's protocol, and a route beside it for pictures that are sent as they are."""
