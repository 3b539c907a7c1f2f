"""What stands behind the `?` of a page: what is not understood shows nothing, and there is a way on."""

from __future__ import annotations

from typing import Any

import pytest

from central.console.roles import Role


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("path", "says", "link"),
    [
        ("/technical?unitt=3", "unitt", "/technical?unit=3"),
        ("/technical?kind=battery_low&unitt=3&page=1", "unitt", "/technical?kind=battery_low&amp;unit=3&amp;page=1"),
        ("/technical?kind=&utm_source=mail", "utm_source", "/technical?kind="),
        ("/residents?q=Ragnhild", "q", "/residents"),  # no name of anybody's goes on from an address
        ("/residents?unit=3", "unit", "/residents"),
        ("/technical?kind=batery_low", "kind", "/technical"),
        ("/technical?kind=battery_low&unit=none", "unit", "/technical?kind=battery_low"),
        ("/log?before=yesterday", "before", "/log"),
        ("/?view=alarmer", "view", "/"),
        ("/hubs?q=a&q=b", "q", "/hubs"),
    ],
)
async def test_what_is_not_understood_shows_nothing_and_says_what_would_do(
    console: Any, path: str, says: str, link: str
) -> None:
    lead = await console.signed_in("Lead One", Role.LEAD)
    answer = await lead.get(path)
    assert answer.status == 422
    assert f"«{says}»" in answer.text
    assert f'class="btn primary" href="{link}"' in answer.text
    assert (await lead.get(link.replace("&amp;", "&"))).status == (422 if "unit=3" in link else 200)


@pytest.mark.sqlite
async def test_a_script_in_an_address_is_shown_as_text_and_a_long_name_is_cut(console: Any) -> None:
    lead = await console.signed_in("Lead One", Role.LEAD)
    answer = await lead.get("/hubs?%3Cscript%3Ealert(1)=x")
    assert answer.status == 422
    assert "<script>alert" not in answer.text
    long = "x" * 500
    answer = await lead.get(f"/hubs?{long}=1&q=a")
    assert long not in answer.text
    assert 'href="/hubs?q=a"' in answer.text


@pytest.mark.sqlite
async def test_a_filter_that_fits_nothing_does_not_look_like_all_in_order(console: Any) -> None:
    technician = await console.signed_in("Tore Berg", Role.TECHNICIAN)
    answer = await technician.get("/technical?kind=battery_low")
    assert "Ingen åpne varsler med dette valget" in answer.text
    assert "Ingen varsler her" in (await technician.get("/technical")).text
