"""Minutes of steady load with trouble: leaks and slowdowns show."""
