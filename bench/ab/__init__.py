"""Two checkouts of this project, measured by turns."""
