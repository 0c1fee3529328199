"""``/openapi.json`` and ``/docs``: the API, described as it really behaves."""
