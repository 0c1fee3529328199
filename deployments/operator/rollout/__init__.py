"""A candidate that gets more and more of the traffic, and goes back by itself where its answers are worse."""
