"""How a command line answers a wrong word: with the nearest right one."""

from __future__ import annotations

import argparse
import difflib
import re
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Says what was meant, where it can."""

    def error(self, message: str) -> NoReturn:
        found = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if found is not None:
            known = [word.strip(" '") for word in found[2].split(",")]
            near = difflib.get_close_matches(found[1], known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"known are: {', '.join(known)}"
            message = f'there is no "{found[1]}"; {hint}'
        super().error(message)
