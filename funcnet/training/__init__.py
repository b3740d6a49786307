r"""Training: the experiment, when it stops, what it carries, and the loop."""
