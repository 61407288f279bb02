"""Programs of benchmarks/, studies/, trials/ and tools/ as modules, for tests."""

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent
FOLDERS = ("benchmarks", "studies", "trials", "tools")


def load(name: str) -> ModuleType:
    (path,) = (file for folder in FOLDERS if (file := ROOT / folder / f"{name}.py").is_file())
    spec = importlib.util.spec_from_file_location(f"program_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
