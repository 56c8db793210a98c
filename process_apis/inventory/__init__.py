"""inventory: what can be promised of the stock, and what is promised already."""
