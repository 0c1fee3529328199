"""The layers that every request passes, in the order that ``deployments.http.app`` lists."""
