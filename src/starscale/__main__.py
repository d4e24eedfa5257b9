"""``python -m starscale``."""

from starscale.faces.cli import main

if __name__ == "__main__":
    main()
