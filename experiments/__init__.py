"""Runnable studies; `python -m experiments` lists and runs those that have a page in the documentation."""
