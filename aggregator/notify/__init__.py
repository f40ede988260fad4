"""Notifications: who is told, in which words, over which channel, and how often it is tried."""
