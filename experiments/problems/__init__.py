"""Real problems.

Networks on real data, each beside an honest baseline: logistic regression, nearest neighbours, or another library's
network. Every script takes under two minutes on two cores. All pages, with their pictures, are made by

    python -m experiments problems
"""
