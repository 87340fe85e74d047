"""The tumour's grammar: the one room that knows its regions, label values and sequences."""
