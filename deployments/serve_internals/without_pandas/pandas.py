"""Found before pandas by Serve's processes: refuses itself to Serve, and is pandas to everybody else (`lean_serve.py`)."""

import importlib
import sys
from pathlib import Path

frame = sys._getframe(1)
while frame.f_back is not None and "importlib" in frame.f_code.co_filename:
    frame = frame.f_back
if frame.f_globals.get("__name__") == "ray.serve._private.utils":
    raise ImportError("Serve does without pandas here")
sys.path[:] = [folder for folder in sys.path if Path(folder) != Path(__file__).parent]
del sys.modules["pandas"]
importlib.import_module("pandas")
