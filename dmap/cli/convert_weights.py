"""``python -m dmap convert-weights``: foreign weight files to safetensors."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import output
from ..errors import UserError
from ..priors.checkpoint import convert, converted_name

NAME = "convert-weights"
HELP = "Convert .pth and .pt weights of quality models to safetensors, without running anything that is in them."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a .pth or .pt file")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the results go, such as ComfyUI's models/iqa (default: beside)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist")


def run(options: argparse.Namespace) -> int:
    targets = {file: (options.out or file.parent) / converted_name(file) for file in options.files}
    written: dict[str, Path] = {}
    for file, target in targets.items():
        output.check_new_folder(target.parent)
        output.check_distinct({str(file): file, "its result": target})
        twin = written.setdefault(str(target.absolute()), file)
        if twin is not file:
            raise UserError(f"{file}: its result would be {target}, as that of {twin}; convert them into two folders")
        if target.exists() and not options.overwrite:
            raise UserError(f"{target}: it exists; give --overwrite to replace it")
    for file, target in targets.items():
        print(f"{target}: {convert(file, target)} tensors")
    return 0
