"""Puts ci/ on the path, where the scripts under test lie."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
