"""Price, credit, tax and stock: what the company says of them, from copies whose age it knows."""
