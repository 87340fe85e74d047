"""What is asked: cases, their scans, opened."""
