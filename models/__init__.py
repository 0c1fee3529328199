"""What a model is: catalogue, artifacts, serving graphs, preprocessing and the inference engine. Imports no Ray."""
