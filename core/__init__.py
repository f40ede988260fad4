"""The control-plane core: what a private cloud is, and what may happen to it."""

__version__ = "0.1.0"
