"""What operators do to a running service: change its configuration through Serve's REST API, safely."""
