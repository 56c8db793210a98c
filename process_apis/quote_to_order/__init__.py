"""From quote to confirmed, released order: a durable process, exactly once."""
