"""Write the documents the code generates now into a folder, to be compared and blessed by a person.

    python -m contracts.governance FOLDER [FOLDER]

The APIs' documents go into the first folder, the events' into the second.
Nothing here writes into `contracts/openapi` or `contracts/asyncapi` by itself: blessing a document
is a reviewed copy.
"""

import sys
from pathlib import Path

from contracts.governance import asyncapi
from contracts.governance.openapi import document, encode
from contracts.versions import supported


def main(arguments: list[str]) -> int:
    """Generate every document into the folder, or the two, named by the arguments."""
    if len(arguments) not in {1, 2}:
        sys.stderr.write((__doc__ or "") + "\n")
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for api in supported():
        (folder / f"{api.slug}.json").write_bytes(encode(document(api)))
    if len(arguments) > 1:
        events = Path(arguments[1])
        events.mkdir(parents=True, exist_ok=True)
        (events / asyncapi.FILE).write_bytes(encode(asyncapi.document()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
