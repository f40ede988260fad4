"""Alarm rules: their language, their evaluation over all objects at once, their explanation and their tests."""
