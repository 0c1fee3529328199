"""What a model is: catalogue, artifacts, serving graphs, preprocessing and the inference engine. Imports no Ray."""

import os

# ONNX Runtime reads this when it is imported. Without it, it keeps a database of events in the home folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
