"""Bugs planted by program in every rule, and whether the gradient checker rejects them."""
