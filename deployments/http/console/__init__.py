"""``/console``: the service in a browser. It only reads and embeds; changes are commands that it shows."""
