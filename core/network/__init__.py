"""Private networks and their addresses."""
