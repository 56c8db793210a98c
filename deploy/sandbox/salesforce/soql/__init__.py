"""SOQL, the part of it that integrations live on: see ``parser`` for the grammar."""
