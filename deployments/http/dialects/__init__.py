"""Neighbours' protocols, one thin file each: a request becomes the one that OpenAI's would be, an answer what their clients read."""
