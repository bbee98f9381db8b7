"""What ``import atled.core`` costs, counted in modules, and what it does not need."""

import json
import subprocess
import sys
from typing import Any


def after(code: str) -> Any:
    """The JSON that a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


LOADED = "import sys, json; before = set(sys.modules); {}; print(json.dumps(sorted(set(sys.modules) - before)))"


def test_the_import_is_a_handful_of_modules() -> None:
    loaded = after(LOADED.format("import atled.core"))
    own = [name for name in loaded if name.startswith("atled")]
    assert set(own) <= {
        "atled",
        "atled.core",
        "atled.core._core",
        "atled.core._explained",
        "atled.core._methods",
        "atled.core._ops",
        "atled.core._overloads",
        "atled.core._tensor",
    }
    assert len(loaded) <= len(own) + 3, loaded


def test_nothing_heavy_is_imported() -> None:
    loaded = after(LOADED.format("import atled.core"))
    for heavy in ("numpy", "scipy", "importlib.metadata", "inspect", "typing", "dataclasses", "re", "json.decoder"):
        assert heavy not in set(loaded) - {"json.decoder"}, heavy


def test_computing_needs_no_numpy() -> None:
    work = "import atled.core as at; x = at.ones(3, 4); y = (x @ x.T + 1).sum(); y.item(); x[1:, 0].tolist()"
    assert "numpy" not in after(LOADED.format(work))


def test_a_sibling_that_is_not_installed_fails_cleanly() -> None:
    code = (
        "import json, sys\n"
        "sys.modules['atled.nn'] = None\n"
        "import atled.core\n"
        "try:\n    import atled.nn\nexcept ImportError as error:\n    print(json.dumps(type(error).__name__))\n"
    )
    assert after(code) == "ModuleNotFoundError"


def test_every_public_name_exists() -> None:
    missing = after(
        "import json, atled.core as at\nprint(json.dumps([name for name in dir(at) if getattr(at, name, at) is at]))"
    )
    assert missing == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    code = "import json, atled.core as at; print(json.dumps(hasattr(at, 'no_such_name')))"
    assert after(code) is False
