import gzip
import hashlib
import json
import re
import subprocess
import sys
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pytest
from matplotlib.image import imread

import monai_kd.report
from monai_kd.report import write_case_page
from tests.report.case import CaseFiles, write_case

ROOM = Path(monai_kd.report.__file__).parent
ADDRESS = re.compile(r"""<[^>]*(?:src|href|action|data)\s*=\s*["']?(?!data:)[^"'>\s]""")
HOSTILE = """</script><script>alert("1")</script>'&<!-- Żółć 患者\u2028\u202e"""
NIIVUE = "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"


class Elements(HTMLParser):
    """Keeps tags and what stands in each script, by its type."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag."""
        self.tags.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        """Note what a script holds."""
        if self.tags and self.tags[-1] == "script":
            kind, before = self.scripts[-1]
            self.scripts[-1] = (kind, before + data)

    def handle_endtag(self, tag: str) -> None:
        """What follows is not of the script."""
        self.tags.append(f"/{tag}")


def write(case: CaseFiles, **changes: object) -> str:
    page = case.record.with_name("report.html")
    options = {"images": case.images, "label": case.label, "output": page, **changes}
    return write_case_page(case.record, **options).read_text(encoding="utf-8")


def parse(page: str) -> Elements:
    elements = Elements()
    elements.feed(page)
    return elements


def unpack(page: str, layer: str) -> nibabel.Nifti1Image:
    content = next(text for kind, text in parse(page).scripts if kind.get("id") == layer)
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(b64decode(content)))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> CaseFiles:
    return write_case(tmp_path_factory.mktemp("case"), uncertainty={"file": "doubt.nii.gz"})


@pytest.fixture(scope="module")
def page(case: CaseFiles) -> str:
    return write(case)


def test_page_says_what_the_record_says(page: str) -> None:
    for words in (
        "patient-42",
        "CHECK",
        "thick slices",
        "84.1",
        "80.2 to 88.0",
        "no interval",
        "agreement 0.96",
        "necrotic core",
        "Research use only; not a medical device",
        "openvino 2026.4",
        "9f" * 32,
    ):
        assert words in page


def test_page_names_no_address_to_load_from(page: str) -> None:
    assert not ADDRESS.search(re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL))
    assert "@import" not in page.split("</style>", maxsplit=1)[0]


def test_page_allows_its_own_scripts_alone_and_no_connection(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    run = [text for kind, text in parse(page).scripts if "type" not in kind]
    digests = re.findall(r"'sha256-([^']*)'", policy)
    assert [b64decode(digest) for digest in digests] == [
        hashlib.sha256(script.encode()).digest() for script in run
    ]
    assert "default-src 'none'; connect-src 'none'" in policy
    assert "script-src 'unsafe-inline'" not in policy


def test_names_from_outside_stay_text(tmp_path: Path, page: str) -> None:
    case = write_case(tmp_path)
    record = json.loads(case.record.read_text())
    record["case"] = record["reasons"][0]["text"] = HOSTILE
    record["labels"]["values"] = {"1": HOSTILE, "2": HOSTILE, "4": HOSTILE}
    record["sequences"] = {HOSTILE: record["sequences"]["t1"] | {"file": HOSTILE}}
    record["lesions"][0]["region"] = record["provenance"]["runtime"] = HOSTILE
    case.record.write_text(json.dumps(record))
    hostile = parse(write(case, images={HOSTILE: case.images["t1"]}))
    own = {"application/json", "text/plain", None}
    assert {kind.get("type") for kind, _ in hostile.scripts} == own
    assert sum("type" not in kind for kind, _ in hostile.scripts) == 2
    content = next(text for kind, text in hostile.scripts if kind.get("id") == "viewer")
    assert json.loads(content)["legend"][0]["name"] == HOSTILE
    assert "\u2028" not in content


def test_a_name_that_is_no_text_is_shown_all_the_same(tmp_path: Path) -> None:
    case = write_case(tmp_path, case="broken \udcff name")
    assert r"broken \udcff name" in write(case)


def test_mask_and_images_lie_where_they_lay(case: CaseFiles, page: str) -> None:
    label = nibabel.load(case.label)
    shown = unpack(page, "label")
    for image in (label, shown):
        assert nibabel.aff2axcodes(image.affine) in (("L", "P", "S"), ("R", "A", "S"))
    centres = [
        nibabel.affines.apply_affine(image.affine, np.argwhere(np.asarray(image.dataobj) == 1))
        for image in (label, shown)
    ]
    assert sorted(map(tuple, centres[0])) == sorted(map(tuple, centres[1]))
    assert unpack(page, "image-0").shape == shown.shape == unpack(page, "uncertainty").shape


def test_slices_are_pictures_with_every_part_outlined(page: str) -> None:
    pictures = re.findall(r'src="data:image/png;base64,([^"]*)"', page)
    assert len(pictures) == 4 * 3
    for picture in pictures:
        pixels = (imread(BytesIO(b64decode(picture)))[..., :3] * 255).round().astype(int)
        for colour in ((0x56, 0xB4, 0xE9), (0xF0, 0xE4, 0x42), (0xD5, 0x5E, 0x00)):
            assert (pixels == colour).all(axis=-1).any()


def test_same_files_give_the_same_page(case: CaseFiles, page: str) -> None:
    assert write(case) == page


@pytest.mark.parametrize("verdict", ["PASS", "CHECK", "REFUSE"])
def test_verdict_is_a_word_and_not_a_colour_alone(tmp_path: Path, verdict: str) -> None:
    page = write(write_case(tmp_path, side=24, verdict=verdict))
    assert re.search(rf'class="badge"><span aria-hidden="true">.</span> {verdict}<', page)


def test_refused_case_without_mask_and_with_a_broken_scan_has_a_page(tmp_path: Path) -> None:
    case = write_case(tmp_path, verdict="REFUSE", lesions=[], volumes_ml={}, agreement={})
    case.images["t2"].write_bytes(case.images["t2"].read_bytes()[:500])
    page = write(case, label=None)
    assert "not shown: " in page
    assert "Nothing was segmented." in page
    assert page.count('<img src="data:image/png') == 3 * 3


def test_case_of_which_nothing_can_be_read_has_a_page(tmp_path: Path) -> None:
    case = write_case(tmp_path, side=24, verdict="REFUSE", lesions=[], volumes_ml={})
    for path in case.images.values():
        path.write_bytes(b"")
    page = write(case, label=None)
    assert "script-src 'none'" in page
    assert "<canvas" not in page


def test_page_of_four_noisy_scans_of_full_size_is_under_12_megabytes(tmp_path: Path) -> None:
    case = write_case(tmp_path, shape=(240, 240, 155))
    assert len(write(case).encode()) < 12_000_000


def test_page_needs_neither_torch_nor_matplotlib() -> None:
    code = "import sys, monai_kd.report.case_page; print(*sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"torch", "monai", "matplotlib"} & set(finished.stdout.split())


def test_viewer_is_the_one_that_was_published() -> None:
    viewer = gzip.decompress((ROOM / "niivue.umd.js.gz").read_bytes())
    assert hashlib.sha256(viewer).hexdigest() == NIIVUE
    assert b"</script" not in viewer.lower()
    assert "BSD 2-Clause License" in (ROOM / "niivue.LICENSE").read_text()


def test_memory_that_nobody_knows_is_not_told_in_mib(tmp_path: Path) -> None:
    case = write_case(tmp_path)
    record = json.loads(case.record.read_text(encoding="utf-8"))
    record["provenance"]["peak_memory_mib"] = None
    case.record.write_text(json.dumps(record), encoding="utf-8")
    page = write(case)
    assert "None MiB" not in page
    assert '<th scope="row">peak memory</th><td>unknown</td>' in page
