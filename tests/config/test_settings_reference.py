"""docs/settings.md says what the code says."""

from __future__ import annotations

from config import reference
from config.devices import DeviceSettings
from config.profiles import PROFILES
from config.settings import DispatchSection, HubSection


def test_the_page_is_what_the_models_say():
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "run python -m config.reference --write"


def test_every_key_and_profile_is_explained():
    page = reference.page()
    for model in (HubSection, DispatchSection, DeviceSettings):
        for key in model.model_fields:
            (line,) = [each for each in page.splitlines() if each.startswith(f"| `{key}` |") and "| **-" not in each][
                :1
            ]
            assert not line.endswith("|  |"), f"{key} has no text under it"
    for name in PROFILES:
        assert f"| `{name}` |" in page


def test_a_page_that_is_out_of_date_is_noticed(tmp_path, monkeypatch, capsys):
    page = tmp_path / "settings.md"
    monkeypatch.setattr(reference, "PAGE", page)
    assert reference.main(["--check"]) == 1
    assert "--write" in capsys.readouterr().err
    assert reference.main(["--write"]) == 0
    assert reference.main(["--check"]) == 0
    page.write_text(page.read_text() + "more")
    assert reference.main(["--check"]) == 1
    assert reference.main(["--wrong"]) == 2
