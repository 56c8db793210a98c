"""The journal: long-lived processes that survive anything."""
