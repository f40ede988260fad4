"""One file per section of the StarVCenter document: its dictionary and its operations."""
