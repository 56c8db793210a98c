"""reconciliation: what CRM, journal, ERP and warehouse disagree on, or that they agree."""
