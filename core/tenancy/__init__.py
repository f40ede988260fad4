"""Tenants, their quotas, and the tokens that speak for them."""
