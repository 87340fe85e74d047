"""Damaged inputs for predict, made at random, and what comes of them."""
