"""A leaderboard's entry as the ``model-index`` of a Hugging Face model card."""

from __future__ import annotations

from collections.abc import Sequence

from t2av_bench.leaderboard.board import Leaderboard
from t2av_bench.leaderboard.exports import check_scores
from t2av_bench.leaderboard.submissions import Entry

_TASK = ("text-to-audio", "Video-aligned text-to-audio")


def model_index(board: Leaderboard, entry: Entry, scores: Sequence[str] | None = None) -> str:
    """Return YAML for the front matter of a model card, made by ``huggingface_hub`` itself.

    Parameters
    ----------
    board, entry
        The leaderboard and the system of the card.
    scores
        Names of scores, by default all that the system has.

    Raises
    ------
    UsageError
        If the board has no such score.
    """
    from huggingface_hub import EvalResult, ModelCardData

    result = entry.result
    manifest = result.manifest
    results = [
        EvalResult(
            task_type=_TASK[0],
            task_name=_TASK[1],
            dataset_type=manifest["name"],
            dataset_name=f"{manifest['name']} version {manifest['version']}",
            dataset_revision=manifest["sha256"],
            dataset_args={"clips": manifest["clips"]},
            metric_type=name.lower(),
            metric_name=f"{name} ({'higher' if score.higher_is_better else 'lower'} is better)",
            metric_value=score.value,
            metric_args={
                "standard_error": score.stderr,
                "clips": score.n_clips,
                "protocol": result.protocol["name"],
                "features": result.protocol["features"],
                "comparable": result.comparable,
            },
        )
        for name, score in result.scores.items()
        if name in check_scores(board, scores)
    ]
    text: str = ModelCardData(model_name=entry.name, eval_results=results).to_yaml()
    return text.rstrip("\n") + "\n"
