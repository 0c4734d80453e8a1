"""``python -m envspin`` is the command ``envspin``."""

from envspin.cli import main

if __name__ == "__main__":
    main()
