"""Weights files on disk: written whole or not at all, and read only after everything they claim was checked."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from restorekit.errors import NotAvailable
from restorekit.files import replace_file
from restorekit.weights.header import KEY, Header, header_of
from restorekit.weights.layout import (
    DTYPES,
    PREFIX,
    Entry,
    Layout,
    LayoutError,
    brief,
    header_length,
    parse_layout,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = [
    "WeightsFile",
    "current_sha256",
    "file_sha256",
    "read",
    "read_header",
    "replace_file",
    "storage_dtypes",
    "verify",
    "write",
]

#: What a file begins with that is a pickle: a ZIP archive as torch writes it, or a bare pickle.
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


class WeightsFile:
    """An open weights file whose header has been checked; a context manager.

    The file stays the one that was opened, also when another takes its name meanwhile.

    Parameters
    ----------
    path : path-like
        The file.
    foreign : bool
        Take a safetensors file that does not describe itself, too; it has no `header`.

    Raises
    ------
    NotAvailable
        It is not there, or is no sound weights file for this restorekit.
    """

    def __init__(self, path: str | os.PathLike[str], *, foreign: bool = False):
        self.path = Path(path)
        try:
            # Looked at before it is opened: a pipe would never open, and a device never end.
            if not stat.S_ISREG(self.path.stat().st_mode):
                raise self.problem("is a folder" if self.path.is_dir() else "is no regular file")
            self._file = self.path.open("rb", buffering=0)
        except (OSError, ValueError) as error:
            raise self.problem(f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
        try:
            self._head, self.layout = self._checked()
            self._header = None if foreign and KEY not in self.layout.metadata else header_of(self.layout)
        except LayoutError as error:
            self._file.close()
            raise self.problem(str(error)) from None
        except BaseException:
            self._file.close()
            raise

    @property
    def header(self) -> Header:
        """What the file says about itself."""
        assert self._header is not None
        return self._header

    def read(self) -> tuple[dict[str, Tensor], str]:
        """Read the tensors and compute the file's SHA-256, both from the same bytes.

        Returns
        -------
        tensors : dict of str to Tensor
            On the CPU, in the file's dtypes, finite.
        sha256 : str
            Hexadecimal.

        Raises
        ------
        NotAvailable
            The tensors are not those that were written, or not finite.
        """
        import safetensors
        import torch
        from safetensors.torch import load

        try:
            self._file.seek(0)
            data = self._file.read()
        except (OSError, MemoryError) as error:
            raise self.problem(f"cannot be read ({getattr(error, 'strerror', None) or 'out of memory'})") from error
        if not data.startswith(self._head) or len(data) != self.size:
            raise self.problem("was changed while it was read")
        if self._header is not None and _checksum(self.layout, data) != self._header.tensors_sha256:
            raise self.problem("is damaged: its tensors are not those that its checksum was made of")
        try:
            tensors = load(data)
        except (safetensors.SafetensorError, RuntimeError, ValueError) as error:  # nothing known gets here
            raise self.problem(f"cannot be read ({error})") from error
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                raise self.problem(f"holds NaN or infinity in tensor {brief(name)}")
        return tensors, hashlib.sha256(data).hexdigest()

    def problem(self, problem: str, way_out: str = "") -> NotAvailable:
        """Return an error about this file."""
        return NotAvailable(self.path, problem, way_out)

    def __enter__(self) -> WeightsFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _checked(self) -> tuple[bytes, Layout]:
        self.size = os.fstat(self._file.fileno()).st_size
        prefix = self._file.read(PREFIX)
        try:
            length = header_length(prefix, self.size)
        except LayoutError:
            if prefix.startswith(_PICKLES):  # asked last: the length of a sound header may look like one
                problem = "is a pickle, which may run code; `restorekit weights convert` reads it without"
                raise LayoutError(problem) from None
            raise
        header = self._file.read(length)
        return prefix + header, parse_layout(header, self.size)


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read what a weights file says about itself; its tensors are left alone.

    Raises
    ------
    NotAvailable
        It is not there, or is no sound weights file for this restorekit.
    """
    with WeightsFile(path) as file:
        return file.header


def read(path: str | os.PathLike[str]) -> tuple[Header, dict[str, Tensor]]:
    """Read a weights file: its header, and its tensors on the CPU in the file's dtypes.

    Raises
    ------
    NotAvailable
        It is not there, is no sound weights file, or its tensors are damaged or not finite.
    """
    with WeightsFile(path) as file:
        return file.header, file.read()[0]


def verify(path: str | os.PathLike[str]) -> Header:
    """Check a weights file to the last byte, and return its header; see `read` for what is found."""
    return read(path)[0]


def write(path: str | os.PathLike[str], header: Header, tensors: Mapping[str, Tensor]) -> Header:
    """Write a weights file, whole or not at all; equal headers and tensors give equal bytes.

    Parameters
    ----------
    path : path-like
        The file; another one of that name is replaced.
    header : Header
        Its checksum is filled in.
    tensors : mapping of str to Tensor
        Named ``network.parameter``; written as they are.

    Returns
    -------
    Header
        As written.

    Raises
    ------
    OutputError
        The file cannot be written; nothing of it remains, and an older one stays.
    ValueError
        A tensor has no name or dtype that weights may have, or the header holds values that JSON does not.
    """
    import torch
    from safetensors.torch import save

    names = {dtype: name for name, dtype in storage_dtypes().items()}
    for name, tensor in tensors.items():
        if tensor.dtype not in names:
            raise ValueError(f"tensor {name!r} has dtype {tensor.dtype}, which is none of {', '.join(DTYPES)}")
    # Copies, in the plain order of axes: safetensors refuses tensors that share memory.
    plain = {
        name: tensors[name].detach().to("cpu").clone(memory_format=torch.contiguous_format) for name in sorted(tensors)
    }
    described = (
        (name, names[t.dtype], tuple(t.shape), t.reshape(-1).view(torch.uint8).numpy().data)
        for name, t in plain.items()
    )
    header = dataclasses.replace(header, tensors_sha256=_tensors_sha256(described))  # pyright: ignore
    data = save(plain, {KEY: header.to_json()})
    try:
        # What could not be read again is not written.
        length = header_length(data[:PREFIX], len(data))
        header_of(parse_layout(data[PREFIX : PREFIX + length], len(data)))
    except LayoutError as error:
        raise ValueError(f"the file {error}") from error
    replace_file(Path(path), data)
    return header


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    except OSError as error:
        raise NotAvailable(path, f"cannot be read ({error.strerror or error})") from error
    return digest.hexdigest()


def current_sha256(path: Path) -> str:
    """Return `file_sha256`, computed again only where size or modification time say that the file is another.

    Raises
    ------
    NotAvailable
        It cannot be read.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise NotAvailable(path, f"cannot be read ({error.strerror or error})") from error
    return _sha256_of(path.absolute(), status.st_size, status.st_mtime_ns, status.st_ino)


@functools.lru_cache(maxsize=64)
def _sha256_of(path: Path, *_state: int) -> str:
    return file_sha256(path)


def storage_dtypes() -> dict[str, torch.dtype]:
    """Return the dtypes that weights may be stored as, by their safetensors names."""
    import torch

    return {
        "F64": torch.float64,
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "I64": torch.int64,
        "I32": torch.int32,
        "I16": torch.int16,
        "I8": torch.int8,
        "U8": torch.uint8,
        "BOOL": torch.bool,
    }


def _checksum(layout: Layout, data: bytes) -> str:
    view = memoryview(data)[layout.start :]
    entries: list[tuple[str, Entry]] = sorted(layout.entries.items())
    return _tensors_sha256((name, e.dtype, e.shape, view[e.begin : e.end]) for name, e in entries)


def _tensors_sha256(tensors: Iterable[tuple[str, str, tuple[int, ...], memoryview]]) -> str:
    """Hash tensors given in the order of their names: independent of where a file keeps them."""
    digest = hashlib.sha256()
    for name, dtype, shape, data in tensors:
        digest.update(json.dumps([name, dtype, shape]).encode() + b"\n")
        digest.update(data)
    return digest.hexdigest()
