"""The ways of a picture and of a text, with an engine that waits as long as a card would compute."""
