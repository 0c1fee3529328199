"""What runs inside an encoder's replica: artifact, batches, engine."""
