"""Print the catalog entry of a model: a folder, or a single .safetensors file.

If the model cannot be served, print the reason and exit with 1.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from common.domain.models.entry_completion import completed_entry
from common.domain.models.families import family_of
from common.domain.models.model_files import ModelFiles
from common.model_files.weights import UnservableModelError
from common.model_folder import model_traits
from gpu_subscriber.terminal import report


def main() -> int:
    """Print the entry; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m gpu_subscriber.describe_model", description=__doc__)
    parser.add_argument(
        "source",
        type=Path,
        help="a folder as `save_pretrained` of diffusers writes it, or a .safetensors file",
    )
    parser.add_argument(
        "--config",
        type=Path,
        help="for a file: a folder that describes its pipeline, if it is neither Stable Diffusion 1 nor SDXL",
    )
    arguments = parser.parse_args()
    try:
        entry = described(arguments.source, config=arguments.config)
    except UnservableModelError as error:
        report(f"describe_model: {error}")
        return 1
    print(json.dumps(entry, indent=2))  # noqa: T201 (a command writes to its terminal)
    return 0


def described(source: Path, *, config: Path | None = None, variant: str | None = None) -> dict[str, Any]:
    """Return the catalog entry of this model. Raises UnservableModelError."""
    paths = {"source": str(source.absolute())}
    if config is not None:
        paths["config"] = str(config.absolute())
    if variant is not None:
        paths["variant"] = variant
    found = model_traits(ModelFiles.model_validate(paths))
    if found is None:
        raise UnservableModelError(
            f"{source} is neither a .safetensors file nor a folder with a model_index.json"
        )
    if not found.is_known:
        report(
            f"describe_model: the traits of a {found.class_name} are not known: the entry states only what every "
            "pipeline supports"
        )
    title = source.absolute().stem if source.is_file() else source.absolute().name
    entry = {
        "name": re.sub(r"[^a-z0-9._-]+", "-", title.lower()).strip("-._")[:63] or "model",
        "title": title,
        "family": family_of(found.class_name),
        **paths,
    }
    return completed_entry(entry, found)


if __name__ == "__main__":
    sys.exit(main())
