"""What is measured, and where the samples live."""
