"""Generate a prompt and print the progress: python generate.py PROMPT"""

import sys

from darkroom import Client

if len(sys.argv) != 2:
    print("usage: python generate.py PROMPT", file=sys.stderr)
    sys.exit(2)

with Client() as darkroom:
    task = darkroom.submit(sys.argv[1], labels={"example": "python"})
    for snapshot in darkroom.stream(task):
        print(f"{snapshot.status} {snapshot.progress.value:.0%}", file=sys.stderr)
    for path in darkroom.download(task):
        print(path)
