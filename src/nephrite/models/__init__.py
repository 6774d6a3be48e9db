"""Networks and losses; every block names its paper."""
