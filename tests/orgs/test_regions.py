"""Regions by GB/T 2260."""

import httpx
import pytest

from app.orgs.regions import Level, find_region, format_region_path, get_region_level, search_regions


@pytest.mark.parametrize(
    ("code", "level", "path"),
    [
        ("000000", Level.NATIONAL, "全国"),
        ("320000", Level.PROVINCIAL, "江苏省"),
        ("320100", Level.CITY, "江苏省南京市"),
        ("320102", Level.COUNTY, "江苏省南京市玄武区"),
        ("110101", Level.COUNTY, "北京市东城区"),
        ("429004", Level.COUNTY, "湖北省仙桃市"),
        ("710000", Level.PROVINCIAL, "台湾省"),
        ("110101001", Level.BELOW, "北京市东城区东华门街道"),
    ],
)
def test_region_code_has_the_expected_level_and_path(code: str, level: Level, path: str) -> None:
    assert find_region(code) is not None
    assert get_region_level(code) is level
    assert format_region_path(code) == path


def test_village_has_the_path_of_its_township_or_county() -> None:
    assert format_region_path("110101001001") == "北京市东城区东华门街道"
    assert format_region_path("110101999001") == "北京市东城区"


async def test_regions_are_listed_by_parent(api: httpx.AsyncClient) -> None:
    provinces = (await api.get("/v1/regions")).json()["items"]
    assert len(provinces) == 34
    cities = (await api.get("/v1/regions", params={"parent": "320000"})).json()["items"]
    assert {"code": "320100", "name": "南京市", "parent_code": "320000", "level": "city"} in cities
    townships = (await api.get("/v1/regions", params={"parent": "110101"})).json()["items"]
    assert {"code": "110101001", "name": "东华门街道", "parent_code": "110101", "level": "below"} in townships
    assert (await api.get("/v1/regions", params={"parent": "110101001"})).json()[
        "items"
    ] == []  # villages are not listed
    assert (await api.get("/v1/regions", params={"parent": "999999"})).json()["items"] == []


async def test_region_search_finds_by_name_and_code(api: httpx.AsyncClient) -> None:
    by_name = (await api.get("/v1/regions", params={"q": "玄武"})).json()["items"]
    assert by_name[0]["code"] == "320102"
    by_code = (await api.get("/v1/regions", params={"q": "3201"})).json()["items"]
    assert by_code[0]["code"] == "320100"
    township = (await api.get("/v1/regions", params={"q": "东华门"})).json()["items"]
    assert township[0]["code"] == "110101001"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("江苏省南京市玄武区", "320102"),
        ("南京市玄武区", "320102"),
        ("江苏 玄武", "320102"),
        ("北京市 东城 东华门", "110101001"),
        ("320102", "320102"),
    ],
)
async def test_region_search_finds_by_path(api: httpx.AsyncClient, typed: str, code: str) -> None:
    assert (await api.get("/v1/regions", params={"q": typed})).json()["items"][0]["code"] == code


async def test_region_search_leads_to_all_pages(api: httpx.AsyncClient) -> None:
    expected = [region.code for region in search_regions("城关")]
    assert len(expected) > 100
    seen: list[str] = []
    params: dict[str, str] = {"q": "城关"}
    while True:
        page = (await api.get("/v1/regions", params=params)).json()
        seen += [region["code"] for region in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == expected
    assert (await api.get("/v1/regions", params={"q": "城关", "cursor": "x"})).status_code == 422
