"""Files that a report cannot use, as documents hold them."""

from haepo_bench.report.document import DamagedFile
from haepo_bench.results.selection import Selection
from haepo_bench.text import plain


def damaged_files(selection: Selection) -> list[DamagedFile]:
    """What cannot be used of a suite's folder, for documents."""
    return [
        DamagedFile(file=plain(str(file.path)), state=file.state.value, reason=plain(file.reason))
        for file in selection.damaged
    ]
