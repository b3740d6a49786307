"""Real problems.

Networks on real data, each beside an honest baseline: logistic regression, nearest neighbours, or another library's
network. Every page says how long its script took. All pages, with their pictures, are made by

    python -m experiments problems
"""
