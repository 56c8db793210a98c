"""journal: every durable process, whatever its kind, for the people who keep them moving."""
