"""Durable tasks: what takes longer than a request, and survives the death of whoever does it."""
