"""Makes ``python -m restorekit`` the command line."""

from restorekit.cli import main

if __name__ == "__main__":
    main()
