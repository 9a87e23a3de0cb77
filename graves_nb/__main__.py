"""python -m graves_nb: the command line."""

from graves_nb.cli import main

if __name__ == "__main__":
    main()
