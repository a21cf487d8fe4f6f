"""``python -m dmap convert-weights``: foreign weight files to safetensors."""

from __future__ import annotations

import argparse
from pathlib import Path

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
    for file in options.files:
        target = (options.out or file.parent) / converted_name(file)
        if target.exists() and not options.overwrite:
            raise UserError(f"{target}: it exists; give --overwrite to replace it")
        print(f"{target}: {convert(file, target)} tensors")
    return 0
