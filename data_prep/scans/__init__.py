"""Reads one scan of any kind; places, resamples, crops and normalises it."""
