"""Claims put to the test.

The two articles that funcnet started from make twelve claims that can be measured. Each has a study: what was said,
what was measured and how, the numbers, and a verdict. All pages, with their pictures, are made by

    python -m experiments claims
"""
