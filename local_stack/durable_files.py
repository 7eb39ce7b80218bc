"""Files that survive a power failure: their bytes are on the disk before their names are."""

import errno
import os
from pathlib import Path

_UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP)


def replace_file(path: Path, text: str) -> None:
    """Write a file, or replace it. A failure leaves the previous one.

    After this function has returned, a power failure leaves the new one. Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_text(text, "utf-8")
        rename(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def rename(source: Path, target: Path) -> None:
    """Rename a file once the disk has its bytes. Raises OSError."""
    sync(source)
    source.replace(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Return when the disk has a file's bytes, or the names in a folder. Raises OSError.

    Some file systems, for example of folders that virtual machines share, sync no folders.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Return when the disk has a folder with everything below it. Raises OSError."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)
