"""Labels of metrics: model versions, status codes and fixed words, so that their number is bounded."""

from __future__ import annotations

Labels = tuple[str, ...]  # names, or the values of one series in the same order
VERSION: Labels = ("model", "version")
ANY = "*"  # model, version and modality of a request for which none was chosen
