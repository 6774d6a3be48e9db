"""Check that the folders named as arguments can be written to; by then fsGroup has given them to the pod's group."""

import os
import sys
import tempfile
from pathlib import Path


def check(folders: list[str]) -> None:
    """Write into every folder, and let its group do so.

    Raises:
        SystemExit: a folder cannot be written to.
    """
    for folder in folders:
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"x")
        except OSError as error:
            status = Path(folder).stat()
            finding = f"cannot be written to by {os.getuid()}:{os.getgid()} ({error.strerror or error})"
            owner = f"it belongs to {status.st_uid}:{status.st_gid} with mode {status.st_mode & 0o7777:o}"
            remedy = "its storage class ignores fsGroup: let the class give new volumes to group 10001"
            sys.exit(f"{folder}: {finding}, {owner}; {remedy}")
        sys.stdout.write(f"{folder}: can be written to\n")


if __name__ == "__main__":
    check(sys.argv[1:])
