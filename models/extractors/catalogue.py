"""What is published: one entry per weights file, with everything known about it and what is not."""

from __future__ import annotations

from dataclasses import dataclass

from t2av_bench.download.remote import RemoteFile
from t2av_bench.models.extractors.hub_catalogue import hub_entries


@dataclass(frozen=True, kw_only=True)
class WeightsEntry(RemoteFile):
    """One published weights file.

    :class:`~t2av_bench.download.remote.RemoteFile` says where it is and how it is verified.

    Attributes
    ----------
    source
        Who made it from what.
    preprocessing
        What the network expects, and where that is doubtful.
    """

    source: str
    preprocessing: str


_TORCHVGGISH = "https://github.com/harritaylor/torchvggish/releases/download/v0.1"

WEIGHTS: dict[str, WeightsEntry] = {
    entry.name: entry
    for entry in (
        WeightsEntry(
            name="vggish",
            file_name="vggish-10086976.pth",
            url=f"{_TORCHVGGISH}/vggish-10086976.pth",
            about_bytes="about 289 MB",
            sha256="10086976245803799d9194e9a73d9b6c1549c71d1b80106f5cade5608a561f4b",
            licence="Apache-2.0",
            source="harritaylor/torchvggish, ported from Google's VGGish for AudioSet",
            preprocessing="16 kHz mono, log-mel examples of 96 frames x 64 bands, 125-7500 Hz",
            unverified="exact size; the weights' own licence is not stated apart from the code's",
        ),
        WeightsEntry(
            name="vggish-pca",
            file_name="vggish_pca_params-970ea276.pth",
            url=f"{_TORCHVGGISH}/vggish_pca_params-970ea276.pth",
            about_bytes="below 1 MB",
            sha256_prefix="970ea276",
            licence="Apache-2.0",
            source="harritaylor/torchvggish, from Google's vggish_pca_params.npz",
            preprocessing="128-d VGGish embeddings; whitening, clipping to [-2, 2], 8-bit levels",
            unverified="all but the first 8 digits of the hash; size",
        ),
        WeightsEntry(
            name="c3d",
            file_name="c3d_sports1m_pretrain_20201016-dcc47ddc.pth",
            url=("https://download.openmmlab.com/mmaction/recognition/c3d/c3d_sports1m_pretrain_20201016-dcc47ddc.pth"),
            bytes_n=311_985_866,
            sha256="dcc47ddcdc7dd62eabc24bc70491b47c82b3b1045b864c52f6bdb669243dfcff",
            licence="CC BY-NC 3.0 (Facebook's C3D weights; the conversion's repository is Apache-2.0)",
            source="OpenMMLab mmaction2, converted from Facebook's Caffe C3D trained on Sports-1M",
            preprocessing="16 frames of 112 x 112, RGB, 0-255, minus (104, 117, 128), as mmaction2 feeds it",
            unverified="channel order: Caffe's C3D took BGR, and whether the conversion swapped conv1a is not known",
        ),
        WeightsEntry(
            name="panns",
            file_name="Cnn14_16k_mAP=0.438.pth",
            url="https://zenodo.org/records/3987831/files/Cnn14_16k_mAP%3D0.438.pth?download=1",
            bytes_n=358_668_570,
            sha256="e2ee543a27919542c2ea03eabaa70b24dcd4e6c8e05621de6b67a94e4c5058e6",
            md5="362fc5ff18f1d6ad2f6d464b45893f2c",
            licence="CC BY 4.0",
            source="Kong et al., PANNs, Zenodo 3987831",
            preprocessing="16 kHz mono, STFT 512/160, 64 Slaney mel bands 50-8000 Hz, decibels",
        ),
        WeightsEntry(
            name="i3d",
            file_name="I3D_8x8_R50.pyth",
            url="https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/I3D_8x8_R50.pyth",
            about_bytes="about 225 MB",
            licence="Apache-2.0",
            source="pytorchvideo model zoo, Kinetics-400",
            preprocessing="8 frames of 224 x 224, RGB, 0-1, minus 0.45, over 0.225",
            unverified="no hash of any kind is published; exact size",
        ),
        WeightsEntry(
            name="word2vec",
            file_name="word2vec-google-news-300.gz",
            url=(
                "https://github.com/RaRe-Technologies/gensim-data/releases/download/"
                "word2vec-google-news-300/word2vec-google-news-300.gz"
            ),
            bytes_n=1_743_563_840,
            md5="a5e5354d40acb95f9ec66d5977d140ef",
            content_sha256="6cb30ecf940501bdb0a0b2921562d4008ab3e461c342b44b48f801211f9c0f8e",
            licence="not stated (the word2vec tool is Apache-2.0)",
            source="Mikolov et al., Google News vectors, as published by gensim-data",
            preprocessing="case-sensitive words and phrases, 3,000,000 x 300",
        ),
        *hub_entries(WeightsEntry),
    )
}
