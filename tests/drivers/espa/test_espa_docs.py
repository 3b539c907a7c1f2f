import tomllib
from pathlib import Path

from drivers.contract import DriverSettings
from drivers.espa import PLUGIN
from drivers.espa.codec import Block
from drivers.espa.driver import COUNTERS
from drivers.espa.mapping import MappingTable
from drivers.espa.settings import EspaSettings

PAGE = (Path(__file__).parents[3] / "docs" / "drivers" / "espa.md").read_text(encoding="utf-8")


def documented() -> EspaSettings:
    example = PAGE.split("```toml\n", 1)[1].split("```", 1)[0]
    return EspaSettings.model_validate(tomllib.loads(example)["drivers"]["ward"])


def test_the_example_on_the_page_is_accepted_and_does_what_it_says() -> None:
    table = MappingTable(documented())

    def value(text: str, call_type: bytes = b"3", priority: bytes = b"3") -> tuple[str, str]:
        records = (("2", text.encode()), ("4", call_type), ("6", priority))
        seen = table.meaning(Block(header="1", records=records, raw=b""))
        return seen.value, seen.device

    assert value("ANROP ROM 101") == ("call", "room-101")
    assert value("ANROP ROM 101", priority=b"1") == ("emergency", "room-101")
    assert value("TILSTEDE ROM 7") == ("presence", "room-7")
    assert value("ROM 7", call_type=b"1") == ("reset", "room-7")
    assert value("KL 12:30") == ("ignore", "panel-north")
    assert value("?") == ("call", "panel-north")


def test_the_page_names_every_setting_and_every_figure_of_the_health_check() -> None:
    hidden = {"type", "mapping", *DriverSettings.model_fields}  # what all drivers share stands elsewhere
    for name in [*(set(PLUGIN.settings.model_fields) - hidden), *set(COUNTERS)]:
        assert name in PAGE, name
