"""Judging a trained model: metrics, errors, advice."""
