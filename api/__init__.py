"""The roof: everything that is seen from outside, and the one place where the parts are put together."""
