"""Four ways to merge the video, which has a time axis, with the caption, which has none.

All operators map video features (batch, frames, video_dim) and a caption embedding (batch, text_dim) to (batch, frames,
dim), end in the same small network on each frame, and differ only in how the two meet:

========================== ===========================================================================================
``addition``               the projected caption is added to every frame
``cross_attention``        every frame attends to four tokens made from the caption
``lstm``                   a bidirectional LSTM runs over frames with the caption attached to each
``temporal_self_attention`` the caption is one more token in a self-attention over all frames
========================== ===========================================================================================

The names are those of the paper's ablation (arXiv:2403.07938); it gives no equations, so these are a reconstruction.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from t2av_bench.errors import no_such_name
from t2av_bench.models.t2av.temporal import Attention, FeedForward, SelfAttentionBlock, positions

_CAPTION_TOKENS_N = 4


class Operator(nn.Module):
    """Base of the operators: ``merge`` differs, the network on each frame is common.

    Parameters
    ----------
    video_dim, text_dim
        Lengths of a frame's vector and of the caption embedding.
    dim, heads_n
        Width that comes out, and the attention heads it is split into where there is attention.
    """

    def __init__(self, video_dim: int, text_dim: int, dim: int, heads_n: int) -> None:
        super().__init__()
        self.video = nn.Linear(video_dim, dim)
        self.text = nn.Linear(text_dim, dim)
        self.feedforward = FeedForward(dim, 2 * dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, video: torch.Tensor, text: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Merge video and caption.

        Parameters
        ----------
        video
            Shape (batch, frames, video_dim).
        text
            Shape (batch, text_dim).
        mask
            Shape (batch, frames), True for frames that exist.

        Returns
        -------
        torch.Tensor, shape (batch, frames, dim)
            Zero where there is no frame.
        """
        x = self.merge(self.video(video), self.text(text), mask)
        x = self.norm(x + self.feedforward(x))
        return x if mask is None else x * mask[..., None]

    def merge(self, video: torch.Tensor, text: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Merge projected video (batch, frames, dim) and caption (batch, dim)."""
        raise NotImplementedError


class Addition(Operator):
    """The caption is added to every frame."""

    def merge(self, video: torch.Tensor, text: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        return video + text[:, None]


class CrossAttention(Operator):
    """Every frame attends to tokens made from the caption.

    CLAP gives one vector per caption. Attention to one token is no choice, so it is spread over four.
    """

    def __init__(self, video_dim: int, text_dim: int, dim: int, heads_n: int) -> None:
        super().__init__(video_dim, text_dim, dim, heads_n)
        self.tokens = nn.Linear(dim, _CAPTION_TOKENS_N * dim)
        self.query_norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads_n)

    def merge(self, video: torch.Tensor, text: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        tokens = self.tokens(text).unflatten(-1, (_CAPTION_TOKENS_N, -1))
        return video + self.attention(self.query_norm(video), tokens)


class LSTM(Operator):
    """A bidirectional LSTM runs over frames with the caption attached to each."""

    def __init__(self, video_dim: int, text_dim: int, dim: int, heads_n: int) -> None:
        super().__init__(video_dim, text_dim, dim, heads_n)
        if dim % 2:
            raise ValueError(f"The width must be even, half of it for each direction, given: {dim}.")
        self.lstm = nn.LSTM(2 * dim, dim // 2, batch_first=True, bidirectional=True)

    def merge(self, video: torch.Tensor, text: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        x = torch.cat([video, text[:, None].expand_as(video)], dim=-1)
        if mask is None:
            return video + self.lstm(x)[0]
        # Packing lets the backward direction start at a clip's own last frame.
        lengths = mask.sum(dim=1).clamp(min=1).cpu()
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])
        return video + out


class TemporalSelfAttention(Operator):
    """The caption is one more token in a self-attention over all frames."""

    def __init__(self, video_dim: int, text_dim: int, dim: int, heads_n: int) -> None:
        super().__init__(video_dim, text_dim, dim, heads_n)
        self.block = SelfAttentionBlock(dim, heads_n, dim)

    def merge(self, video: torch.Tensor, text: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        video = video + positions(video.shape[1], video.shape[2], video.device, video.dtype)
        x = torch.cat([text[:, None], video], dim=1)
        if mask is not None:
            mask = torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1)
        return self.block(x, mask)[:, 1:]


_OPERATORS: dict[str, type[Operator]] = {
    "addition": Addition,
    "cross_attention": CrossAttention,
    "lstm": LSTM,
    "temporal_self_attention": TemporalSelfAttention,
}


def make_operator(name: str, video_dim: int, text_dim: int, dim: int, heads_n: int) -> Operator:
    """Return an operator by name.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if name not in _OPERATORS:
        raise no_such_name(f"There is no operator named {name!r}", name, _OPERATORS)
    return _OPERATORS[name](video_dim, text_dim, dim, heads_n)
