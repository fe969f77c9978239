"""The notebook of the examples, as Jupyter runs it."""

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.conformance("Jupyter", "the notebook of the examples")
@pytest.mark.timeout(1200)
def test_it_runs_from_top_to_bottom(
    nbclient: Any, nbformat: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = nbformat.read(ROOT / "examples/search.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    nbclient.NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [json.dumps(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]
    assert "<b>notebook</b>" in shown[2] and "<table" in shown[2]
    assert (tmp_path / "runs/notebook/report.html").exists()
