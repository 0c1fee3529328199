"""Found before pandas by services under test, and refuses itself to Serve, as where the `data` extra is not installed.

Serve loads pandas wherever it finds it, only to know what a DataFrame is: a second of processor time in each of the dozen
processes of a service. Everybody else gets pandas.
"""

import importlib
import sys
from pathlib import Path

frame = sys._getframe(1)
while frame.f_back is not None and "importlib" in frame.f_code.co_filename:
    frame = frame.f_back
if frame.f_globals.get("__name__") == "ray.serve._private.utils":
    raise ImportError("Serve does without pandas here")
sys.path.remove(str(Path(__file__).parent))
del sys.modules["pandas"]
importlib.import_module("pandas")
