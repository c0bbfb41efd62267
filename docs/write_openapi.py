"""Writes docs/openapi.json from the contract's table; with --check, fails when the file is out of date."""

import json
import sys
from pathlib import Path

from ttsorch.contract.openapi import document

FILE = Path(__file__).with_name("openapi.json")


def main() -> int:
    written = json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv:
        FILE.write_text(written, encoding="utf-8")
        return 0
    if FILE.read_text(encoding="utf-8") == written:
        return 0
    print("docs/openapi.json is out of date: run python docs/write_openapi.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
