"""What integration operations sees (operations/v1)."""
