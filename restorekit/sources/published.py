"""Well-known sets that ``--data NAME`` downloads from where they are published."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

from restorekit.downloads import cache_folder, download
from restorekit.errors import NotAvailable
from restorekit.files import replace_file

__all__ = ["PUBLISHED", "PublishedSet", "fetch_set"]


@dataclass(frozen=True, slots=True)
class PublishedSet:
    """A set's files with the checksums that its authors publish.

    Parameters
    ----------
    base : str
        URL that the file names are appended to.
    files : mapping of str to str
        File name to ``"md5:..."``.
    members : tuple of str
        Files to take out of an archive; empty where the files are used as they are.
    """

    base: str
    files: dict[str, str]
    members: tuple[str, ...] = ()


_IDX = (
    *("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    *("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
)

#: By the name that ``--data`` takes.
PUBLISHED = {
    "cifar10": PublishedSet(
        "https://www.cs.toronto.edu/~kriz/",
        {"cifar-10-binary.tar.gz": "md5:c32a1d4ab5d03f1284b67883e8d87530"},
        tuple(f"cifar-10-batches-bin/{name}.bin" for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch")),
    ),
    "mnist": PublishedSet(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        dict(
            zip(
                _IDX,
                (
                    "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
                    "md5:d53e105ee54ea40749a09fcbcd1e9432",
                    "md5:9fb629c4189551a2d022fa330f9573f3",
                    "md5:ec29112dd5afa0611ce80d1b7f02629c",
                ),
                strict=True,
            )
        ),
    ),
    "fashion-mnist": PublishedSet(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        dict(
            zip(
                _IDX,
                (
                    "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                    "md5:25c81989df183df01b3e8a0aad5dffbe",
                    "md5:bef4ecab320f06d8554ea6380940ec79",
                    "md5:bb300cfdad3c16e7a12a480ee83cd310",
                ),
                strict=True,
            )
        ),
    ),
}


def fetch_set(name: str) -> Path:
    """Download a set unless it is there, and return the folder that `restorekit.sources.open_source` reads.

    Raises
    ------
    NotAvailable
        There is no network, or what comes is not what its authors published; the message says where to put the files.
    OutputError
        The cache cannot be written.
    """
    published = PUBLISHED[name]
    folder = cache_folder() / "data" / name
    if published.members and all((folder / Path(member).name).is_file() for member in published.members):
        return folder
    for file, checksum in published.files.items():
        download(published.base + file, checksum, folder / file, name)
    for archive in published.files if published.members else ():
        _unpack(folder / archive, published.members, folder)
    return folder


def _unpack(archive: Path, members: tuple[str, ...], folder: Path) -> None:
    """Take the named members out, and nothing else an archive might hold."""
    try:
        with tarfile.open(archive) as files:
            for member in members:
                content = files.extractfile(member)
                if content is None:
                    raise KeyError(member)
                replace_file(folder / Path(member).name, content.read())
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise NotAvailable(
            archive, f"is not the archive that it should be ({error})", "delete it and try again"
        ) from error
