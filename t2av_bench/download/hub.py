"""Files of the Hugging Face Hub, as users of its own library expect them: their cache, endpoint, token and hashes.

``huggingface_hub`` says where a file is and what is known of it. The transfer is that of all other files: it writes
into the home folder (which a mirror serves as it is), and never shows a file under its name before it is verified.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from t2av_bench.download.remote import RemoteFile, fault_of, file_hash
from t2av_bench.files import replacing

_METADATA_TIMEOUT_S = 10.0
# Length of what the Hub names content by: git's blob id, and SHA-256 for large files.
_KIND_OF_LENGTH = {40: "git_blob", 64: "sha256"}


def hub_url(file: RemoteFile) -> str:
    """Return a Hub file's address at the user's endpoint (``HF_ENDPOINT``), any other file's own."""
    if file.hub is None:
        return file.url
    from huggingface_hub import hf_hub_url

    return hf_hub_url(
        file.hub.repository, file.hub.path, revision=file.hub.revision, endpoint=os.environ.get("HF_ENDPOINT") or None
    )


def hub_headers(file: RemoteFile, url: str) -> dict[str, str]:
    """Return the user's Hub token (``HF_TOKEN`` or ``hf auth login``) as a header, for the Hub's endpoint alone."""
    if file.hub is None or url != hub_url(file):
        return {}
    from huggingface_hub import utils

    headers: dict[str, str] = utils.build_hf_headers()  # type: ignore[attr-defined, unused-ignore]
    return {name: value for name, value in headers.items() if name.lower() == "authorization"}


def hub_is_offline(file: RemoteFile) -> bool:
    """Whether ``HF_HUB_OFFLINE`` forbids fetching this file."""
    return file.hub is not None and os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in ("1", "ON", "YES", "TRUE")


def cached_copy(file: RemoteFile) -> Path | None:
    """Return a Hub file's copy at the pinned revision in the user's Hub cache, None if there is none or it is wrong."""
    if file.hub is None or file.path.is_file():
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(file.hub.repository, file.hub.path, revision=file.hub.revision)
    if not isinstance(found, str):
        return None
    blob = Path(found).resolve()
    kind = _KIND_OF_LENGTH.get(len(blob.name))
    if kind and not file.is_pinned and file_hash(blob, kind) != blob.name:
        return None  # the cache names blobs by their hash
    return blob if fault_of(file, blob, thorough=True) is None else None


def adopt(copy: Path, file: RemoteFile) -> None:
    """Put a verified copy into the home folder: as a second name for the same bytes where the disk allows that."""
    file.path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file.path) as temporary:
        try:
            os.link(copy, temporary)
        except OSError:  # another disk, or a file system without links
            shutil.copyfile(copy, temporary)
            with temporary.open("r+b") as stream:
                os.fsync(stream.fileno())


def with_the_hubs_hash(file: RemoteFile, url: str) -> RemoteFile:
    """Add the hash and size that the Hub itself tells of a file for which the register knows no hash.

    They prove a faultless transfer of what the Hub holds at the pinned revision; they do not pin it, as the Hub is
    asked anew by every user.
    """
    if file.hub is None or file.is_pinned or url != hub_url(file):
        return file
    from huggingface_hub import get_hf_file_metadata

    try:
        told = get_hf_file_metadata(url, timeout=_METADATA_TIMEOUT_S)
    except (
        Exception
    ):  # of whichever HTTP library this version uses; without an answer the transfer goes on as for others
        return file
    if told.etag is None or told.commit_hash != file.hub.revision:
        return file
    kind = _KIND_OF_LENGTH.get(len(told.etag))
    return replace(file, sha256=told.etag) if kind == "sha256" else replace(file, git_blob=told.etag) if kind else file
