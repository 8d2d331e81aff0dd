"""The published lists that the manifests are built from: addresses, hashes, licences.

They are fetched to the user's machine and never shipped: their licences differ, and each keeps its publisher's bytes
(AudioCaps and VGGSound have CRLF line ends, LLP has LF), since those are what the hashes are of.
"""

from __future__ import annotations

from typing import NamedTuple

from t2av_bench.download.remote import RemoteFile

FOLDER = "manifests/upstream"

_AUDIOCAPS = "https://raw.githubusercontent.com/cdjkim/audiocaps/80fb3ade6d400d4311354a360db25da051a48cc1/dataset"
_VGGSOUND = "https://raw.githubusercontent.com/hche11/VGGSound/1e75f4d30de3a99115ee9333464854c5e3d161a7/data"
_LLP = "https://raw.githubusercontent.com/YapengTian/AVVP-ECCV20/fde56118f2c2e7c19188dfefa2569a37b70054fe/data"

LICENCES = {
    "audiocaps": "AudioCaps: MIT by its LICENSE, academic use only by its README",
    "vggsound": "VGGSound: CC BY 4.0",
    "llp": "LLP: GPL-3.0 by its README, without a licence file",
}


class _Known(NamedTuple):
    name: str
    url: str
    bytes_n: int
    sha256: str
    git_blob: str
    unverified: str = ""


_KNOWN = (
    _Known("audiocaps/train", f"{_AUDIOCAPS}/train.csv", 3_576_723,
           "c0c5223db682b3bf724ce7e7ce58d5b36929f74572e8526a7211f92d2eef7c8e",
           "93db5bd4d37bbf958eae519ede406a5dbc6a7972"),
    _Known("audiocaps/val", f"{_AUDIOCAPS}/val.csv", 171_918,
           "dab1c96641d5f3053ddb99dca3949450da9a75737bda53e11cc0aa8b102be0c3",
           "f0bcd1ede16fea308c9249ed77e819cdb6b0f462"),
    _Known("audiocaps/test", f"{_AUDIOCAPS}/test.csv", 402_246,
           "b91c4b7ded2f4f6e7db5b9c4983dc1e1dca3d556f505b61e3fd65cac7e1c638a",
           "aa65f39a8205413bba7a5295a2aa92f97420fe8a"),
    _Known("vggsound/test", f"{_VGGSOUND}/test.csv", 642_248,
           "0b2215dc3786fbb223aa06a2162491099d89cf080ac31b16bb3a72368fbaa24d",
           "c6f4c1545810a2db37b05ee81aedb6b301d5a56f"),
    _Known("vggsound/full", f"{_VGGSOUND}/vggsound.csv", 7_949_116,
           "c1816c00a237afa4994e873e88f56bac206cbb285fddb05c564184b9c3d6e6ce",
           "53da0dc492b8a3fadf770f0f175cef1e652c0447",
           "size and sha256 are second hand, from one source that names the blob id of the origin's tree"),
    _Known("llp/train", f"{_LLP}/AVVP_train.csv", 341_164,
           "bbeb83e8af46a85075216b213d3464f92dd4ab71468c852ae454b82cc745c0a4",
           "abb4cc7480b9066b99ce10bfa9ae01ae982df68b"),
    _Known("llp/val", f"{_LLP}/AVVP_val_pd.csv", 23_349,
           "1811813b54c5f43c3be0a97bd0971cfb8a93818ca7b3ab96cdc7f4ac37ef37a6",
           "75435575223d68fe475483aea0f6ce505b02f244"),
    _Known("llp/test", f"{_LLP}/AVVP_test_pd.csv", 43_014,
           "3f7a2b040e3b67c15d08efef25002bf8c5b2320f11049eb99ae0eb2d62f8eb9b",
           "f70e74365f44aecfb427c7bf7a8a0d2d94c09b11"),
    _Known("llp/eval-audio", f"{_LLP}/AVVP_eval_audio.csv", 134_355,
           "d5435664668bec6e7eafb39059d2f424ed2682f6b55395262fc3cb691b7d0778",
           "b36b47d176cddb3a664628a024d26f926d4bc11a"),
    _Known("llp/eval-visual", f"{_LLP}/AVVP_eval_visual.csv", 83_874,
           "e2274af694f3f27e38b840e0cd91a9d8d9ac85280f193e90828d26b22db69abe",
           "82f314a2f8fa56cf78395cd61e8a2d6b22773695"),
)  # fmt: skip

LISTS: dict[str, RemoteFile] = {
    known.name: RemoteFile(
        name=known.name,
        file_name=f"{known.name.split('/')[0]}/{known.url.rpartition('/')[2]}",
        url=known.url,
        licence=LICENCES[known.name.split("/")[0]],
        folder=FOLDER,
        bytes_n=known.bytes_n,
        sha256=known.sha256,
        git_blob=known.git_blob,
        unverified=known.unverified,
    )
    for known in _KNOWN
}
"""Every list by name; files are named as the publisher names them."""
