"""Print the catalog entry of a model's folder: its samplers, traits and limits.

If the model cannot be served, print the reason and exit with 1.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from common.domain.models.families import family_of
from common.model_folder import UnservableModelError, entry_fields, folder_traits


def main() -> int:
    """Print the entry; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m gpu_subscriber.describe_model", description=__doc__)
    parser.add_argument("folder", type=Path, help="a model as `save_pretrained` of diffusers writes it")
    folder = parser.parse_args().folder
    try:
        entry = described(folder)
    except UnservableModelError as error:
        print(f"describe_model: {error}", file=sys.stderr)  # noqa: T201 (a command talks to its terminal)
        return 1
    print(json.dumps(entry, indent=2))  # noqa: T201 (as above)
    return 0


def described(folder: Path) -> dict[str, Any]:
    """Return the catalog entry of this folder. Raises UnservableModelError."""
    found = folder_traits(folder)
    if found is None:
        raise UnservableModelError(f"{folder} has no readable model_index.json")
    if not found.is_known:
        print(  # noqa: T201 (as above)
            f"describe_model: the traits of a {found.class_name} are not known: the entry states only what every "
            "pipeline supports",
            file=sys.stderr,
        )
    name = re.sub(r"[^a-z0-9._-]+", "-", folder.resolve().name.lower()).strip("-._")[:63] or "model"
    return {
        "name": name,
        "title": folder.resolve().name,
        "family": family_of(found.class_name),
        "source": str(folder),
        **entry_fields(found),
    }


if __name__ == "__main__":
    sys.exit(main())
