"""The verdict on a case."""
