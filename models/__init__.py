"""What a model is: catalogue, artifacts, serving graphs, preprocessing and the inference engine. Imports no Ray."""

import os

# ONNX Runtime reads it once, at its import; it would keep a database of events in the home folder otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
