"""The ssh programs on this computer, played: a key is a file that says "open" or "locked".

No agent holds any key. The fake gcloud reaches its workers itself, so ssh and scp are only found.
"""

import os
import pathlib
import sys

program, arguments = pathlib.Path(os.environ["FAKE_PROGRAM"]).name, sys.argv[1:]
if program == "ssh-keygen" and arguments[0] == "-y":
    sys.exit(pathlib.Path(arguments[-1]).read_text() != "open")
if program == "ssh-keygen" and arguments[0] == "-lf":
    print("256 SHA256:played no comment (ED25519)")
    sys.exit(0)
sys.exit(f"{program} {arguments}: not played")
