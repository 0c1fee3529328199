"""Whether what a version is asked, and what it makes of it, is still what it was: against a frozen reference window."""
