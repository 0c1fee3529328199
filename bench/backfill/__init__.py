"""What backfills reach: their rate beside the bare engine's, their memory, and what more engines bring."""
