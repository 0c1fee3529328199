"""What a card can do, and what the models make of it."""
