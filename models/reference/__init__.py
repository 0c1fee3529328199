"""The cosine of a model's vectors to those of its own library, which runs in an environment of its own."""
