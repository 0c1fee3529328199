"""Every private or undocumented seam of Ray Serve, HAProxy and uvicorn, one file a seam, and nothing else anywhere."""
