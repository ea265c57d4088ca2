"""What the scripts that make models end with: their files are written, or compared with those there."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent


def wants_check(usage):
    """Whether the command line is --check; anything else on it ends the script with its usage."""
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(usage)
    return bool(sys.argv[1:])


def write_or_check(path, content, check, reason):
    """Writes the bytes, or ends the script unless the file has them; `reason` is why it may not."""
    name = path.relative_to(HERE)
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        print(f"wrote {name} ({len(content)} bytes)")
    elif path.read_bytes() == content:
        print(f"{name} is the same")
    else:
        sys.exit(f"{name} differs: it was made by {reason}")
