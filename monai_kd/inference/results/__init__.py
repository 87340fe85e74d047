"""What is written about a case."""
