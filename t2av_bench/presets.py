"""Protocols of other toolkits, as data: what each is fed, what it computes under which name, and where it is odd.

A preset reproduces another toolkit's numbers, faults included, so that published tables can be compared with: in a
result it names itself, the code it was held to, and each quirk. None of that is in ``t2av-bench/1``, and results of
different protocols are never put side by side.

======================  ======================================  ====================================================
preset                  reproduces                              held to that project's own values in
======================  ======================================  ====================================================
audioldm_eval           haoheliu/audioldm_eval                  waveforms, embeddings, FD, FAD, IS, KL
fadtk                   microsoft/fadtk                         waveforms, embeddings, FAD with its float16 store
kadtk                   YoonjinXD/kadtk                         FAD in float32, KAD times 100
av-benchmark            hkchengrex/av-benchmark                 waveforms, embeddings, logits, FD, IS, KL
frechet_audio_distance  gudgud96/frechet-audio-distance         waveforms, embeddings, FAD
google-fad              google-research/frechet_audio_distance  nothing: no values of its code could be had
peavs-favd              amazon-science/avgen-eval-toolkit       embeddings of sound, FAVD; its video network is another
condfoleygen            XYPB/CondFoleyGen                       onsets, accuracy, average precision
tempotokens             guyyariv/TempoTokens                    sound peaks, optical flow, AV-Align
======================  ======================================  ====================================================

The tests: ``tests/media/test_front_end.py``; ``tests/models/test_vggish.py``, ``test_panns.py`` and
``test_peer_timing.py``; ``tests/metrics/test_conventions.py`` and ``test_onset_conventions.py``; and
``tests/test_presets.py`` for the whole way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from t2av_bench.metrics import MetricSpec


@dataclass(frozen=True)
class Preset:
    """One toolkit's protocol.

    Attributes
    ----------
    name, project, commit
        The preset, the repository, and the state of it that was read.
    summary
        One line for lists.
    extractors
        Part to extractor name. The parts have names of their own, as no score of ours is made of them.
    options
        Extractor name to the options it is made with.
    scores
        What the toolkit computes, under its own names: entry to the name of its formula
        (:mod:`t2av_bench.companions.peers`).
    absent
        What it computes and we do not, with the reason.
    quirks
        What a reader of its numbers should know; stands in every result.
    """

    name: str
    project: str
    commit: str
    summary: str
    extractors: Mapping[str, str]
    scores: Mapping[MetricSpec, str]
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    quirks: tuple[str, ...] = ()

    @property
    def specs(self) -> dict[str, MetricSpec]:
        """The scores' entries by name."""
        return {spec.name: spec for spec in self.scores}

    @property
    def notes(self) -> list[str]:
        """What every result says: whose numbers these are, and each quirk."""
        whose = f"scores by the conventions of {self.project} @ {self.commit}, not of t2av-bench/1"
        return [f"{self.name}: {note}" for note in (whose, *self.quirks)]


def _frechet(name: str, *parts: str) -> MetricSpec:
    return MetricSpec(name, parts, "raw")


_NO_PASST = "needs PaSST, which is not part of t2av-bench"
_NO_IMAGEBIND = "needs ImageBind (CC BY-NC-SA), which is not part of t2av-bench"
_NO_CLAP = "needs the checkpoint and the package of that project; t2av-bench/1 has CLAP, with transformers' weights"
_PANNS_LOGITS = ("panns_logits",)

PROTOCOL_PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "audioldm_eval",
            "haoheliu/audioldm_eval",
            "8dc07ee7c42f",
            "FD, IS and KL with PANNs, FAD with VGGish; first channel only, without DC",
            {"panns": "panns", "panns_logits": "panns-logits", "vggish": "vggish"},
            {
                _frechet("frechet_distance", "panns"): "frechet",
                _frechet("frechet_audio_distance", "vggish"): "frechet",
                MetricSpec("kullback_leibler_divergence_sigmoid", _PANNS_LOGITS, "classes"): "kl-sigmoid-eps",
                MetricSpec("kullback_leibler_divergence_softmax", _PANNS_LOGITS, "classes"): "kl-softmax-eps",
                MetricSpec("inception_score_mean", _PANNS_LOGITS, "classes", higher_is_better=True): "is-mean",
                MetricSpec("inception_score_std", _PANNS_LOGITS, "classes"): "is-std",
            },
            dict.fromkeys(("panns", "panns-logits", "vggish"), {"front_end": "audioldm_eval"}),
            dict.fromkeys(("lsd", "psnr", "ssim_stft"), "not computed by default there: reported as -1 or NaN")
            | {"kernel_inception_distance_mean": "commented out there"},
            (
                "sound is the first channel alone, minus its mean, by torchaudio's resampler, zeros up to 2 s",
                "the backbone is CNN14, as in the papers that used it; the code's own default is MERT",
                "1e-6 is added inside the logarithm of the KL divergences",
                "the sigmoid KL sums p ln(p/q) only, which is no divergence: it may be negative",
                "the inception score is over 10 splits, seed 2020",
            ),
        ),
        Preset(
            "fadtk",
            "microsoft/fadtk",
            "ec74b1f96d55",
            "FAD with VGGish, sound and embeddings stored in 16 bits",
            {"vggish": "vggish"},
            {_frechet("FAD-vggish", "vggish"): "fadtk-frechet"},
            {"vggish": {"front_end": "fadtk"}},
            {"FAD-inf": "unseeded and drawn with replacement there, so that no value can be reproduced"},
            (
                "sound is resampled by a Kaiser-windowed sinc and truncated to 16 bits; embeddings are float16",
                "a clip of one window makes the whole score NaN there; here it is absent, with this reason",
                "with fewer windows than dimensions rounding may make the distance negative",
            ),
        ),
        Preset(
            "kadtk",
            "YoonjinXD/kadtk",
            "8bda71d87f55",
            "KAD times 100 and FAD with VGGish",
            {"vggish": "vggish"},
            {
                MetricSpec("KADx100-vggish", ("vggish",), "kernel"): "kadtk-kernel",
                _frechet("FAD-vggish", "vggish"): "kadtk-frechet",
            },
            {"vggish": {"front_end": "fadtk"}},
            {},
            (
                "KAD is multiplied by 100",
                "KAD's bandwidth is the median distance of the evaluated set, against its paper's of the reference:"
                " each system is measured with its own ruler",
                "of more than 4096 windows, the median is that of 4096 drawn ones; theirs is of all",
                "the Fréchet distance is float32 throughout: with fewer windows than dimensions it was up to 7 % off,"
                " and it may be negative",
            ),
        ),
        Preset(
            "av-benchmark",
            "hkchengrex/av-benchmark",
            "050a5cdb9bbd",
            "FD with VGGish and PANNs, IS and KL with PANNs, over the first 8 s",
            {"vggish": "vggish", "panns": "panns", "panns_logits": "panns-logits"},
            {
                _frechet("FD-VGG", "vggish"): "frechet",
                _frechet("FD-PANN", "panns"): "frechet",
                MetricSpec("KL-PANNS-softmax", _PANNS_LOGITS, "classes"): "kl-softmax",
                MetricSpec("ISC-PANNS-mean", _PANNS_LOGITS, "classes", higher_is_better=True): "is-mean",
                MetricSpec("ISC-PANNS-std", _PANNS_LOGITS, "classes"): "is-std",
            },
            dict.fromkeys(("vggish", "panns", "panns-logits"), {"front_end": "av-benchmark"}),
            {
                **dict.fromkeys(("FD-PASST", "KL-PASST-softmax", "ISC-PASST-mean", "ISC-PASST-std"), _NO_PASST),
                "IB-Score": _NO_IMAGEBIND,
                "DeSync": "needs Synchformer's weights; a score of t2av-bench/1, not of this preset",
                **dict.fromkeys(("LAION-CLAP-Score", "MS-CLAP-Score"), _NO_CLAP),
            },
            (
                "sound is cut to 8 s, its default; the mean of the whole clip is removed before that",
                "the inception score is over 10 splits, seed 2020",
            ),
        ),
        Preset(
            "frechet_audio_distance",
            "gudgud96/frechet-audio-distance",
            "55971f6c873e",
            "FAD with VGGish, by resampy",
            {"vggish": "vggish"},
            {_frechet("FAD-vggish", "vggish"): "frechet"},
            {"vggish": {"front_end": "frechet_audio_distance"}},
            dict.fromkeys(
                ("FAD-clap", "FAD-encodec"), "needs a network of another project, which is not part of t2av-bench"
            ),
            ("sound is resampled by resampy, which loses 3 dB in VGGish's uppermost band",),
        ),
        Preset(
            "google-fad",
            "google-research/google-research frechet_audio_distance",
            "10bf941a5a06",
            "FAD with VGGish, windows every 0.5 s, sound divided by its peak",
            {"vggish": "vggish"},
            {_frechet("FAD-vggish", "vggish"): "frechet"},
            {"vggish": {"front_end": "google-fad", "hop_s": 0.5, "least_n": 16_000}},
            {},
            (
                "rebuilt from its source: no values that its code computed could be had to hold it to",
                "windows overlap: one starts every 0.5 s where a whole second is left",
                "each clip is divided by its largest sample, whose sign counts",
                "its code reads 16-bit WAV files at 16 kHz only; other files are resampled by soxr HQ and rounded",
            ),
        ),
        Preset(
            "peavs-favd",
            "amazon-science/avgen-eval-toolkit",
            "9cf014ba2c02",
            "FAVD of windows of video and sound, unscaled, video first",
            {"i3d": "i3d", "vggish": "vggish"},
            {_frechet("FAVD", "i3d", "vggish"): "peavs-frechet"},
            {"vggish": {"front_end": "frechet_audio_distance", "relu": True}},
            {"PEAVS": "needs that project's trained network"},
            (
                "VGGish keeps its final ReLU, and each clip is cut to the fewer windows of sound and video",
                "its video features are the sum of I3D's two streams (RGB and optical flow, 1024-d) at 25 frames/s;"
                " here they are I3D R50's (RGB, 2048-d): its convention, not its number",
                "the blocks are not scaled, so that the one with the larger variance decides",
            ),
        ),
        Preset(
            "condfoleygen",
            "XYPB/CondFoleyGen",
            "c565db7a7c84",
            "onset accuracy and average precision within 0.1 s",
            {"onsets": "condfoleygen-onsets"},
            {
                MetricSpec("onset acc", ("onsets",), "sync", higher_is_better=True): "condfoleygen-count",
                MetricSpec("detection acc", ("onsets",), "sync", higher_is_better=True): "condfoleygen-accuracy",
                MetricSpec("detection ap", ("onsets",), "sync", higher_is_better=True): "condfoleygen-ap",
            },
            {},
            {},
            (
                "average precision credits missed onsets, up to 1.0 for a clip without any sound",
                "accuracy is a recall: sounds between the onsets cost nothing",
                "every second sample of 44.1 kHz is taken, without a low-pass; only a clip's whole seconds count",
                "a generated onset in the first 50 ms stops the program there; here the clip is left out and counted",
            ),
        ),
        Preset(
            "tempotokens",
            "guyyariv/TempoTokens",
            "bf0b1e30a8f6",
            "AV-Align: overlap of peaks of sound and optical flow",
            {"sound_peaks": "tempotokens-peaks", "flow": "tempotokens-flow"},
            {MetricSpec("AV-Align", ("flow", "sound_peaks"), "sync", higher_is_better=True): "tempotokens"},
            {},
            {},
            (
                "clips have few peaks to match: real sound scored 0.18 and the next clip's 0.15 over four clips",
                "without any peak the program divides by zero; here the clip is left out and counted",
            ),
        ),
    )
}
