"""``python -m deploy.sandbox``: the vendor simulators as a process of their own."""

import gc

if __name__ == "__main__":
    gc.disable()  # hundreds of thousands of lasting records come to be: nothing to collect yet
    from deploy.sandbox.process import main

    main()
