"""What a graph costs a card at least: launches, bytes and floating-point operations of each kind of node."""
