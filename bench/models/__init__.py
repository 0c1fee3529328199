"""The models without the service: speed, memory, fidelity."""
