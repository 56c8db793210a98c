"""What a sales channel sees (sales/v1)."""
