"""Our accounts with the vendors: their budgets, and the breakers before their systems."""
