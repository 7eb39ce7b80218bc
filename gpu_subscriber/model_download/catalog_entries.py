"""Entries of a model catalog's file: add or update one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from common.catalog_file import CatalogEntryError, parse_catalog
from gpu_subscriber.model_download.hub import ModelDownloadError

_FILES = ("source", "revision", "variant")
"""The fields of an existing entry that a download changes; an operator may have edited the others."""


def merge_entry(file: Path, entry: Mapping[str, Any]) -> None:
    """Add an entry to a catalog's file, or update where the files of the existing one are.

    Raises ModelDownloadError, and leaves the file as it is, if the result is no valid catalog.
    """
    try:
        content = json.loads(file.read_bytes()) if file.exists() else {"models": []}
        models = list(content["models"])
        names = [model["name"] for model in models]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelDownloadError(f"{file} is not a model catalog: {error!r}") from error
    if entry["name"] in names:
        place = names.index(entry["name"])
        kept = {name: value for name, value in models[place].items() if name not in _FILES}
        models[place] = {**kept, **{name: entry[name] for name in _FILES if name in entry}}
    else:
        models.append(dict(entry))
    data = json.dumps({**content, "models": models}, indent=2, ensure_ascii=False) + "\n"
    try:
        parse_catalog(data.encode(), beside=file.absolute().parent)
    except (CatalogEntryError, ValidationError) as error:
        raise ModelDownloadError(
            f"{file} with the new entry is not a valid model catalog: {error}"
        ) from error
    written = file.with_name(f"{file.name}.new")
    written.write_text(data)
    written.replace(file)
