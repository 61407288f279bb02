"""Binary files that say what they are and whether they still are what was written.

The first line is a title and the SHA-256 of the rest. Without it a file in which some bits changed on disk could be
taken for another, valid content.
"""

import hashlib


class BrokenSeal(ValueError):
    """The content is not what was written under that title; the message says why."""


def seal(title: str, content: bytes) -> bytes:
    """The content with its first line.

    Args:
        title: one line.
    """
    return f"{title} sha256 {hashlib.sha256(content).hexdigest()}\n".encode() + content


def unseal(title: str, data: bytes) -> bytes:
    """The content of what `seal` made.

    Raises:
        BrokenSeal: another title, or the content has changed.
    """
    head, _, content = data.partition(b"\n")
    said, _, digest = head.rpartition(b" sha256 ")
    if said != title.encode():
        raise BrokenSeal("its first line is not the one that was written")
    if digest != hashlib.sha256(content).hexdigest().encode():
        raise BrokenSeal("its content does not match its digest")
    return content
