"""`python -m nephrite`: the command line, for places that start an interpreter (torchrun -m nephrite)."""

from nephrite.cli import main

if __name__ == "__main__":
    main()
