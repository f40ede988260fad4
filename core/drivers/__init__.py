"""What the cloud runs on: ports, and their implementations."""
