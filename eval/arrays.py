"""Arrays that were made elsewhere: npy, npz and csv files, of which none is ever unpickled."""

import csv
import pathlib
import tokenize
import zipfile

import numpy as np

from qlae.common.errors import UserError

# What damaged, encrypted or hostile files raise; a header may claim more than any memory holds.
_UNREADABLE = (
    ValueError,
    EOFError,
    OSError,
    AttributeError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    csv.Error,
    tokenize.TokenError,
    zipfile.BadZipFile,
)


def load_array(address: str, name: str) -> np.ndarray:
    """Reads an array from an npy, npz or csv file; never unpickles.

    Args:
      address: path of the file; for npz optionally followed by a colon and a key.
      name: "sources" or "latents": the key that is looked for in an npz of several arrays.

    Raises:
      UserError: no such file, an unknown suffix, or content that is not a numeric array.
    """
    path, _, key = address.rpartition(":") if ".npz:" in address else (address, "", "")
    file = pathlib.Path(path)
    if not file.is_file():
        raise UserError(f"there is no file {path}: give the path of an npy, npz or csv file")
    try:
        if file.suffix == ".npy":
            return np.load(file, allow_pickle=False)
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                return arrays[_choose_key(path, arrays.files, key, name)]
        if file.suffix == ".csv":
            return _load_csv(file)
    except UserError:
        raise
    except _UNREADABLE as error:
        raise UserError(
            f"{path} holds no plain numeric array (pickled objects are never loaded): save one "
            f"with numpy.save or as csv"
        ) from error
    raise UserError(f"{path} has the suffix {file.suffix!r}: give an npy, npz or csv file")


def _choose_key(path: str, keys: list[str], key: str, name: str) -> str:
    """Which array of an npz to read."""
    if key and key not in keys:
        raise UserError(f"{path} has no array {key!r}: it has {', '.join(keys)}")
    if key:
        return key
    if not keys:
        raise UserError(f"{path} holds no array: save sources or latents into it")
    if len(keys) == 1:
        return keys[0]
    if name in keys:
        return name
    raise UserError(f"{path} has several arrays: append one as {path}:KEY of {', '.join(keys)}")


def _load_csv(file: pathlib.Path) -> np.ndarray:
    """Numbers, one sample a line; a first line without numbers is taken for names."""
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = [(number, row) for number, row in enumerate(csv.reader(lines), 1) if row]
    if rows and not any(_is_number(cell) for cell in rows[0][1]):
        rows = rows[1:]
    if not rows:
        raise UserError(f"{file} has no lines of numbers")
    width = len(rows[0][1])
    values = []
    for number, row in rows:
        if len(row) != width:
            raise UserError(f"{file} line {number} has {len(row)} values, expected {width}")
        try:
            values.append([float(cell) for cell in row])
        except ValueError as error:
            raise UserError(f"{file} line {number} is not made of numbers: {error}") from error
    return np.array(values)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
