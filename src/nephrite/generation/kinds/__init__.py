"""The kinds of generators, one module each, as `nephrite.generation.kind` says what they hold."""
