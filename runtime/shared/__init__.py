"""What the processes of one installation share through Redis, and may lose without harm."""
