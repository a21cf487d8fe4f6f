"""Run in a process of its own: priors among the host's own modules, on a pretended accelerator.

The host's own functions load, evict and unload; what they ask a driver for, the memory that is free, is counted here.
Prints a JSON object of what was found, by step.

    prior_host.py HOST_FOLDER FOLDER_WITH_THE_PACK
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOST, PARENT = sys.argv[1:3]
sys.argv = ["main.py", "--cpu"]
sys.path.insert(0, HOST)
sys.path.append(PARENT)

import comfy.options  # noqa: E402
import torch  # noqa: E402
import utils.install_util  # noqa: E402, F401  # the host's, before anything else is called utils

comfy.options.enable_args_parsing()
import comfy.model_management as host  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy.utils  # noqa: E402
from comfyui_dmap.dmap.priors import WeightStore, load_prior  # noqa: E402
from comfyui_dmap.dmap.priors.compose import MixedPrior, MultiScalePrior  # noqa: E402
from comfyui_dmap.nodes.host import files, models, session  # noqa: E402
from comfyui_dmap.nodes.host.weights import held  # noqa: E402

from pretend_device import DEVICE  # noqa: E402
from toys import photograph  # noqa: E402

NAME, MAPS = "dmap_quality", (None, (30.0, 0.05))  # two of one size, with different scores
IMAGE = photograph(1, 96).float()
memory = {"size": 1 << 40}


def free_memory(dev: torch.device | None = None, torch_free_too: bool = False) -> float | tuple[float, float]:
    held = sum(loaded.model_loaded_memory() for loaded in host.current_loaded_models if loaded.device == DEVICE)
    free = float(memory["size"] - held)
    return (free, free) if torch_free_too else free


host.get_torch_device = lambda: DEVICE
host.get_free_memory = free_memory
host.minimum_inference_memory = lambda: 0
host.extra_reserved_memory = lambda: 0
host.vram_state = host.VRAMState.NORMAL_VRAM


def where(*priors: session.HostPrior) -> list[list[str]]:
    """The devices that each prior's tensors are on."""
    return [
        sorted({tensor.device.type for tensor in (*prior.prior.parameters(), *prior.prior.buffers())})
        for prior in priors
    ]


def gradient_of_inference_tensors() -> float:
    """How far the gradient of a prior that was moved in inference mode is from that of one that was not."""
    usual, moved = load_prior(NAME), load_prior(NAME)
    moved.to(torch.float64).to(torch.float32)
    assert all(tensor.is_inference() for tensor in moved.parameters())
    found = []
    for prior in (usual, moved):
        patcher = comfy.model_patcher.ModelPatcher(prior, torch.device("cpu"), torch.device("cpu"))
        with torch.inference_mode(False), torch.enable_grad(), held([patcher]):
            image = IMAGE.clone().requires_grad_(True)
            found.append(torch.autograd.grad(prior(image).sum(), image)[0])
    return float((found[0] - found[1]).abs().max())


def download_progress() -> list[list[int]]:
    """What the host's progress bar is told while a file of 3 MiB arrives from a server on loopback."""
    content, told = bytes(3 << 20), []
    comfy.utils.set_progress_bar_global_hook(lambda value, total, *_, **__: told.append([int(value), int(total)]))
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as folder:
        file = Path(source) / f"weights-{hashlib.sha256(content).hexdigest()[:8]}.pth"
        file.write_bytes(content)
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=source))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        store = WeightStore((Path(folder),), True, files.iqa_store(True).progress)
        assert store.locate(f"http://127.0.0.1:{server.server_port}/{file.name}").read_bytes() == content
        server.shutdown()
    return told


with torch.inference_mode():  # as nodes run
    first, second = (models.load_prior_patchers(NAME, score_map=score_map) for score_map in MAPS)
    sizes = [sum(tensor.nbytes for tensor in prior.prior.state_dict().values()) for prior in (first, second)]
    found = {
        "expected": [float(load_prior(NAME, score_map=score_map)(IMAGE)) for score_map in MAPS],
        "sizes": [[prior.patchers[0].model_size() for prior in (first, second)], sizes],
        "before": where(first, second),
        "scores": [session.score(prior, IMAGE)[0] for prior in (first, second)],
        "both loaded": where(first, second),
    }
    host.unload_all_models()
    found["unloaded"] = where(first, second)
    memory["size"] = int(sizes[0] * 1.5)  # for one, not for both
    found["scores of one at a time"] = [session.score(prior, IMAGE)[0] for prior in (first, second, first)]
    found["one loaded"] = where(first, second)
    memory["size"] = 1 << 40
    host.unload_all_models()
    mixture = MixedPrior([MultiScalePrior(first.prior), second.prior], [1, 1])
    found["expected of the mixture"] = float(mixture(IMAGE))
    mixed = session.HostPrior.of(mixture, first, second)
    found["score of the mixture"] = session.score(mixed, IMAGE)[0]
    found["mixture loaded"] = where(mixed)
    host.unload_all_models()
    found["mixture unloaded"] = where(mixed)
    found["gradient"] = gradient_of_inference_tensors()
    found["progress"] = download_progress()
print(json.dumps(found))
