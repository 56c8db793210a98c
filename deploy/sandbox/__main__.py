"""``python -m deploy.sandbox``: the vendor simulators as a process of their own."""

from deploy.sandbox.process import main

if __name__ == "__main__":
    main()
