"""Gaussian process regression on bands of principal components."""
