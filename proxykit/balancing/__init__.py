"""Balancers: which server of a pool an exchange goes to."""
