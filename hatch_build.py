"""Compiles the kernels while the package is built; without a compiler the package is pure Python."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def _building(root: Path) -> ModuleType:
    """haepo_bench/engine/build.py, without the package around it, which is not installed yet."""
    spec = importlib.util.spec_from_file_location("build_kernels", root / "haepo_bench" / "engine" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class KernelsHook(BuildHookInterface):
    """Adds the libraries to the wheel, and says for which systems they are."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        building = _building(root)
        try:
            libraries = building.build_all()
        except building.NotBuilt as reason:
            if version == "editable":
                for target in building.TARGETS:  # of an earlier installation
                    (building.FOLDER / target.library).unlink(missing_ok=True)
            self.app.display_warning(f"haepo-bench is installed without its compiled engine, and uses torch: {reason}")
            return
        build_data["artifacts"] += [path.relative_to(root).as_posix() for path in libraries]
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{building.platform_tag(libraries)}"
        levels = " and ".join(target.level for target in building.TARGETS)
        self.app.display_info(f"compiled the kernels for {levels}")
