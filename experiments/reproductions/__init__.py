"""Published numbers, measured again.

What papers report, what funcnet finds, and where the difference comes from. All pages, with their pictures, are made by

    python -m experiments reproductions
"""
