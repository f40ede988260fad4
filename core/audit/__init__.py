"""Who did what, to what, with what result, and from where."""
