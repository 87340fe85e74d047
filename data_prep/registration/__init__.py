"""Brings the sequences of a case onto one another, where that is asked for."""
