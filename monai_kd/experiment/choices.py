"""What a bundle chooses by what it is given."""


def choose_recipe(dataset_dir: str | None) -> str:
    """The full-size recipe for a person's own scans, the small one for phantoms."""
    return "phantom" if dataset_dir is None else "full"
