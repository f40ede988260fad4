"""Alarms: open and past, their transitions, and how they are relieved."""
