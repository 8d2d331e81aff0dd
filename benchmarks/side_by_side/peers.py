"""Other tools' ways to a FAD, as they write them themselves: ``python peers.py NAME FOLDER``, then a line per run.

Each gets torchvggish's network with the weights that ``--weights random`` of our command draws, before the last ReLU,
which no tool would apply for a FAD of today. A file is embedded once before any clock runs: resampy compiles itself.
"""

from __future__ import annotations

import json
import sys
import time
import types
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

warnings.simplefilter("ignore")

from torchvggish import vggish_input  # noqa: E402
from torchvggish.torchvggish import VGG, make_layers  # noqa: E402

from t2av_bench.models.extractors.drawn import draw_state_dict  # noqa: E402

Array = np.ndarray[Any, Any]
# Reference and generated folder to embeddings of both, and the distance of two such sets.
Tool = tuple[Callable[[Path], Array], Callable[[Array, Array], float]]


class HubVGGish(VGG):
    """What torch.hub's ``harritaylor/torchvggish`` returns: the package's network behind the package's front end."""

    def __init__(self) -> None:
        super().__init__(make_layers(), postprocess=False)
        self.load_state_dict(draw_state_dict(self, seed=0))
        self.eval()

    def forward(self, x: Any, fs: int | None = None) -> torch.Tensor:
        examples = vggish_input.waveform_to_examples(x, fs) if fs is not None else x
        return super().forward(examples)


def without_last_relu(network: HubVGGish) -> HubVGGish:
    network.embeddings = torch.nn.Sequential(*list(network.embeddings.children())[:-1])
    return network


def frechet_audio_distance() -> Tool:
    """Return the loop of frechet-audio-distance: all files in memory, then one by one through the network."""
    for unused in ("laion_clap", "encodec"):
        if find_spec(unused) is None:
            # It imports them at once, for other embeddings.
            stand_in = types.ModuleType(unused)
            stand_in.EncodecModel = None  # type: ignore[attr-defined]
            sys.modules[unused] = stand_in
    from frechet_audio_distance import FrechetAudioDistance

    torch.hub.load = lambda *args, **options: HubVGGish()
    tool = FrechetAudioDistance(model_name="vggish", sample_rate=16000, use_pca=False, use_activation=False)

    def embed(folder: Path) -> Array:
        files = tool._FrechetAudioDistance__load_audio_files(str(folder))
        return tool.get_embeddings(files, sr=tool.sample_rate)

    def distance(x: Array, y: Array) -> float:
        statistics = (*tool.calculate_embd_statistics(x), *tool.calculate_embd_statistics(y))
        return float(tool.calculate_frechet_distance(*statistics))

    return embed, distance


def torchvggish() -> Tool:
    """Return the loop of torchvggish's README over a folder, and the distance of SciPy's matrix root."""
    from scipy import linalg

    network = without_last_relu(HubVGGish())

    def embed(folder: Path) -> Array:
        rows = []
        for path in sorted(folder.iterdir()):
            examples = vggish_input.wavfile_to_examples(str(path))
            rows.append(network.forward(examples).detach().numpy())
        return np.concatenate(rows)

    def distance(x: Array, y: Array) -> float:
        first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
        shift = x.mean(axis=0) - y.mean(axis=0)
        return float(shift @ shift + np.trace(first + second - 2 * linalg.sqrtm(first @ second).real))

    return embed, distance


def torch_fidelity() -> Tool:
    """Return torch-fidelity's loop, with its loader processes, around torchvggish's front end and network."""
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.utils import get_featuresdict_from_dataset

    network = without_last_relu(HubVGGish())

    class Files(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __init__(self, folder: Path) -> None:
            self.paths = sorted(folder.iterdir())

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, i: int) -> torch.Tensor:
            return vggish_input.wavfile_to_examples(str(self.paths[i])).detach()

    class Embedding(FeatureExtractorBase):
        def __init__(self) -> None:
            super().__init__("vggish", ["128"])

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return ("128",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "128"

        def forward(self, files: torch.Tensor) -> tuple[torch.Tensor]:
            return (network(files.flatten(0, 1)),)

    extractor = Embedding()

    def embed(folder: Path) -> Array:
        # 16 files of 5 windows are about the 64 pictures of its default.
        found = get_featuresdict_from_dataset(Files(folder), extractor, 16, False, False, False)
        return found["128"].numpy()

    def distance(x: Array, y: Array) -> float:
        first, second = (fid_features_to_statistics(torch.from_numpy(rows)) for rows in (x, y))
        return float(fid_statistics_to_metric(first, second, False)["frechet_inception_distance"])

    return embed, distance


TOOLS: dict[str, Callable[[], Tool]] = {
    "frechet-audio-distance": frechet_audio_distance,
    "torchvggish": torchvggish,
    "torch-fidelity": torch_fidelity,
}


def main() -> None:
    embed, distance = TOOLS[sys.argv[1]]()
    sides = [Path(sys.argv[2], side) for side in ("data", "preds")]
    vggish_input.wavfile_to_examples(str(sorted(sides[0].iterdir())[0]))
    print("{}", flush=True)
    for _ in sys.stdin:
        start_s = time.perf_counter()
        x, y = (embed(side) for side in sides)
        embedded_s = time.perf_counter()
        value = distance(x, y)
        times = {"embedding_s": embedded_s - start_s, "distance_s": time.perf_counter() - embedded_s}
        print(json.dumps({**times, "fad": value}), flush=True)


if __name__ == "__main__":
    main()
