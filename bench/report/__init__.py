"""Results: statistics, bars, tables, plots, and what is known of the machine."""
