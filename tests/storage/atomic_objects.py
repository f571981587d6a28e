"""An object store on a local folder: an object shows when its upload ends, and there is no rename."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs


class _Upload:
    """A file that takes its name when it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts = path.parent / f".part-{secrets.token_hex(4)}"
        self._file = open(self._parts, "wb")
        self.closed = False

    def write(self, data: bytes) -> int:
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._file.close()
            os.replace(self._parts, self._path)


class AtomicObjects(fs.FileSystemHandler):
    """`before(operation)` is called ahead of every change; it may end the process."""

    def __init__(self, before: Callable[[str], None]) -> None:
        self._local = fs.LocalFileSystem()
        self._before = before

    def get_type_name(self) -> str:
        return "objects"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        return self._local.get_file_info(paths)

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        infos = self._local.get_file_info(selector)
        return [info for info in infos if not info.base_name.startswith(".part-")]

    def create_dir(self, path: str, recursive: bool) -> None:
        self._local.create_dir(path, recursive=recursive)

    def delete_dir(self, path: str) -> None:
        self._before("delete_dir")
        self._local.delete_dir(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        raise NotImplementedError

    def delete_root_dir_contents(self) -> None:
        raise NotImplementedError

    def delete_file(self, path: str) -> None:
        self._before("delete_file")
        self._local.delete_file(path)

    def move(self, src: str, dest: str) -> None:
        raise NotImplementedError("an object store has no rename")

    def copy_file(self, src: str, dest: str) -> None:
        self._before("copy_file")
        self._local.copy_file(src, dest)

    def open_input_stream(self, path: str) -> Any:
        return self._local.open_input_stream(path, compression=None)

    def open_input_file(self, path: str) -> Any:
        return self._local.open_input_file(path)

    def open_output_stream(self, path: str, metadata: dict[str, str]) -> Any:
        self._before("open_output_stream")
        return pa.PythonFile(_Upload(Path(path)), mode="w")

    def open_append_stream(self, path: str, metadata: dict[str, str]) -> Any:
        raise NotImplementedError("an object is written at once")
