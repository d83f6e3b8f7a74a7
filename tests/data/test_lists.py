"""CSV lists, VOC and COCO: files as they are written, and files that are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from netdsl.data import Data, open_data
from netdsl.data.annotation import VOID, Annotated, Polygons
from netdsl.data.coco import read_coco
from netdsl.data.plain_xml import read_xml
from netdsl.diagnostics import Code, ResourceLimit, UserError, render


def picture(path: Path, height: int = 6, width: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(str(path))).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def refused(name: str, *, strict: bool = False) -> str:
    with pytest.raises(UserError) as caught:
        open_data(name, strict=strict)
    return render(caught.value.diagnostics, color=False)


# -- CSV ---------------------------------------------------------------------------------------------


def csv(folder: Path, text: str) -> str:
    for name in ("a", "b", "c", "d"):
        picture(folder / "pictures" / f"{name}.png")
    (folder / "list.csv").write_text(text, encoding="utf-8")
    return f"csv:{folder / 'list.csv'}"


def test_csv_without_a_head(tmp_path: Path) -> None:
    data = open_data(csv(tmp_path, "pictures/a.png,cat\npictures/b.png,dog\npictures/c.png,cat\n\npictures/d.png,cat"))
    assert data.classes == ("cat", "dog") and data.fit == "cover"
    assert (len(data.train), len(data.test)) == (3, 1)
    assert sorted([*data.train.targets, *data.test.targets]) == [0, 0, 0, 1]
    assert data.train.image(0).shape == (3, 6, 8)


def test_csv_with_columns_boxes_and_parts(tmp_path: Path) -> None:
    text = (
        "\ufefflabel,path,left,top,right,bottom,split,weather\r\n"
        '10,"pictures/a.png",1,2,3.5,6,train,rain\r\n9,pictures/a.png,0,0,8,6,train,\r\n9,pictures/b.png,,,,,test,\r\n'
    )
    data = open_data(csv(tmp_path, text))
    assert data.classes == ("9", "10")
    assert isinstance(data.train, Annotated) and (len(data.train), len(data.test)) == (1, 1)
    assert [(thing.label, thing.box) for thing in data.train.instances(0)] == [(1, (1, 2, 3.5, 6)), (0, (0, 0, 8, 6))]
    assert [thing.box for thing in data.test.instances(0)] == [(0, 0, 8, 6)]  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="no class of their own"):
        _ = data.train.targets


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("pictures/a.png,cat\npictures/b.png\n", 2, "a line has a path and a label"),
        ("pictures/a.png,cat\n../a.png,cat\n", 2, "leads out"),
        ("/etc/passwd,cat\n", 1, "leads out"),
        ("pictures/a.png,cat\npictures/a.png,dog\n", 2, "stands here again"),
        ("path,label,split\npictures/a.png,cat,maybe\n", 2, "`train` or `test`, found `maybe`"),
        ("path,label,left,top,right,bottom\npictures/a.png,x,1,2,3\n", 2, "four numbers"),
        ("path,label,left,top,right,bottom\npictures/a.png,x,3,2,1,4\n", 2, "left of its right"),
        ("path,label,left,top,right,bottom\npictures/a.png,x,0,0,nan,4\n", 2, "left of its right"),
        ("path,label,left,top,right,bottom\npictures/a.png,x,0,0,9,4\n", 2, "8 wide and 6 high"),
        ('pictures/a.png,"cat\n' + "x" * 200_000, 1, "no line of a table"),
        ("a," + "x" * 300, 1, "longer than 200"),
    ],
)
def test_wrong_lines_are_pointed_at(tmp_path: Path, text: str, line: int, what: str) -> None:
    shown = refused(csv(tmp_path, text))
    assert what in shown and f"list.csv:{line}:" in shown


def test_csv_files_that_are_none(tmp_path: Path) -> None:
    assert "lists no pictures" in refused(csv(tmp_path, "\n\n"))
    assert "there is no file" in refused(f"csv:{tmp_path / 'none.csv'}")
    (tmp_path / "list.csv").write_bytes(b"\xff\xfe")
    assert "not text in UTF-8" in refused(f"csv:{tmp_path / 'list.csv'}")


def test_missing_and_damaged_pictures_are_told(tmp_path: Path) -> None:
    name = csv(tmp_path, "".join(f"pictures/{letter}.png,x\n" for letter in "abcde"))
    (tmp_path / "pictures" / "b.png").write_bytes(b"no picture")
    (warning,) = open_data(name).warnings
    assert warning.title.startswith("2 pictures") and len(warning.notes) == 2
    assert "2 pictures" in refused(name, strict=True)


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "secret.png")
    inner = tmp_path / "inner"
    name = csv(inner, "pictures/link.png,cat\n")
    (inner / "pictures" / "link.png").symlink_to(tmp_path / "secret.png")
    assert "leads out" in refused(name)


# -- VOC ---------------------------------------------------------------------------------------------

OBJECT = """<object><name>{}</name><pose>Left</pose><difficult>{}</difficult>
<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""


def annotation(*things: tuple[Any, ...]) -> str:
    objects = "\n".join(OBJECT.format(*thing) for thing in things)
    return f"<annotation>\n<folder>VOC2012</folder>\n{objects}\n</annotation>\n"


def voc(root: Path) -> Path:
    place = root / "VOCdevkit" / "VOC2012"
    texts = {
        "2007_01": annotation(("cat", 0, 1, 1, 8, 6), ("person", 1, 2, 3, 4, 5)),
        "2007_02": annotation(("dog", 0, 3, 3, 8, 6)),
        "2007_03": annotation(),
    }
    for folder in ("Annotations", "SegmentationClass", "ImageSets/Main", "ImageSets/Segmentation"):
        (place / folder).mkdir(parents=True)
    for name, text in texts.items():
        picture(place / "JPEGImages" / f"{name}.jpg")
        (place / "Annotations" / f"{name}.xml").write_text(text)
        numbers = np.zeros((6, 8), np.uint8)
        numbers[1:3, 2:5], numbers[5] = 8, 255
        mask = Image.fromarray(numbers, mode="P")
        mask.putpalette(bytes(range(256)) * 3)
        mask.save(place / "SegmentationClass" / f"{name}.png")
    for kind in ("Main", "Segmentation"):
        (place / "ImageSets" / kind / "train.txt").write_text("2007_01\n2007_03\n")
        (place / "ImageSets" / kind / "val.txt").write_text("2007_02  1\n")
    return place


def test_voc_boxes(tmp_path: Path) -> None:
    voc(tmp_path)
    data = open_data(f"voc:{tmp_path}")
    assert len(data.classes) == 20 and (len(data.train), len(data.test)) == (2, 1)
    assert isinstance(data.train, Annotated)
    cat, person = data.train.instances(0)
    assert (data.classes[cat.label], cat.box, cat.hard) == ("cat", (0, 0, 8, 6), False)
    assert (data.classes[person.label], person.box, person.hard) == ("person", (1, 2, 4, 5), True)
    assert data.train.instances(1) == ()


def test_voc_masks(tmp_path: Path) -> None:
    voc(tmp_path)
    data = open_data(f"voc-masks:{tmp_path}")
    assert isinstance(data.train, Annotated)
    pixels = data.train.pixels(0)
    assert pixels.shape == (6, 8) and set(pixels[1, 2:5]) == {8} and set(pixels[5]) == {VOID} and pixels[0, 0] == 0


def test_own_classes_and_no_lists(tmp_path: Path) -> None:
    place = voc(tmp_path)
    for path in sorted((place / "ImageSets").rglob("*.txt")):
        path.unlink()
    for folder in ("Main", "Segmentation"):
        (place / "ImageSets" / folder).rmdir()
    (place / "Annotations" / "2007_03.xml").write_text(annotation(("zebra", 0, 1, 1, 2, 2)))
    data = open_data(f"voc:{place}")
    assert data.classes == ("cat", "dog", "person", "zebra") and (len(data.train), len(data.test)) == (2, 1)


BOMB = '<!DOCTYPE a [<!ENTITY b "{}"><!ENTITY c "&b;&b;&b;">]><annotation>&c;</annotation>'


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (BOMB.format("x" * 1000), "a document type is declared"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', "a document type is declared"),
        ("<annotation>&amp;&xxe;</annotation>", "undefined entity"),
        ("<annotation><object>", "no element found"),
        ("", "no element found"),
        ("<picture/>", "`<annotation>` was expected"),
        ("<annotation><object><name>cat</name></object></annotation>", "`<object>` has no `<bndbox>`"),
        (annotation(("", 0, 1, 1, 2, 2)), "the name of an object"),
        (annotation(("cat", 0, "x", 1, 2, 2)), "`<xmin>` is no number"),
        (annotation(("cat", 0, "nan", 1, 2, 2)), "`<xmin>` is no number"),
        (annotation(("cat", 0, 5, 5, 2, 2)), "has no area"),
        (annotation(("cat", 0, 1, 1, 20, 2)), "ends outside"),
        ("<annotation>" + "<a>" * 13, "in more than 12 others"),
        ("<annotation>" + "<a/>" * 50_000, "more than 50000 elements"),
    ],
)
def test_wrong_xml_is_pointed_at(tmp_path: Path, text: str, what: str) -> None:
    place = voc(tmp_path)
    (place / "Annotations" / "2007_03.xml").write_text(text)
    shown = refused(f"voc:{tmp_path}")
    assert what in shown and "2007_03.xml:" in shown


def test_xml_in_another_encoding_and_too_large(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes('<?xml version="1.0" encoding="utf-16"?><a>é</a>'.encode())
    assert read_xml(path).text == "é"
    path.write_bytes(b" " * (5 << 20))
    with pytest.raises(ResourceLimit):
        read_xml(path)


def test_wrong_masks_and_lists(tmp_path: Path) -> None:
    place = voc(tmp_path)
    mask = place / "SegmentationClass" / "2007_02.png"
    Image.fromarray(np.full((6, 8), 77, np.uint8)).save(mask)
    data = open_data(f"voc-masks:{tmp_path}")
    with pytest.raises(UserError, match="has the class 77"):
        data.test.pixels(0)  # type: ignore[attr-defined]
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(mask)
    with pytest.raises(UserError, match="is 3x3, its picture 8x6"):
        data.test.pixels(0)  # type: ignore[attr-defined]
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(mask)
    with pytest.raises(UserError, match="has colours"):
        data.test.pixels(0)  # type: ignore[attr-defined]
    (place / "ImageSets" / "Main" / "train.txt").write_text("../../secret\n")
    assert "no name of a picture" in refused(f"voc:{tmp_path}")
    assert "has no `Annotations`" in refused(f"voc:{place / 'Annotations'}")


# -- COCO --------------------------------------------------------------------------------------------


def coco_content() -> dict[str, Any]:
    square = [2, 1, 5, 1, 5, 4, 2, 4]
    return {
        "info": {"year": 2017},
        "images": [
            {"id": 9, "file_name": "000.jpg", "height": 6, "width": 8},
            {"id": 4, "file_name": "111.jpg", "height": 6, "width": 8},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 18, "bbox": [2, 1, 3, 3], "iscrowd": 0, "segmentation": [square]},
            {"id": 2, "image_id": 9, "category_id": 1, "bbox": [0, 0, 1, 6], "iscrowd": 1,
             "segmentation": {"size": [6, 8], "counts": [0, 6, 42]}},
            {"id": 3, "image_id": 4, "category_id": 1, "bbox": [1, 0, 2, 6], "iscrowd": 0,
             "segmentation": {"size": [6, 8], "counts": "6<n0"}},
        ],
    }  # fmt: skip


def coco(root: Path, content: Any = None) -> str:
    for part in ("train2017", "val2017"):
        for name in ("000", "111"):
            picture(root / part / f"{name}.jpg")
        (root / "annotations").mkdir(exist_ok=True)
        text = json.dumps(coco_content()) if content is None or part == "val2017" else content
        path = root / "annotations" / f"instances_{part}.json"
        path.write_text(text if isinstance(text, str) else json.dumps(text))
    return f"coco:{root}"


def test_coco(tmp_path: Path) -> None:
    data: Data = open_data(coco(tmp_path))
    assert data.classes == ("person", "dog") and len(data.train) == 2
    assert isinstance(data.train, Annotated)
    (person,) = data.train.instances(0)  # (pictures in the order of their ids)
    assert (person.label, person.box) == (0, (1, 0, 3, 6)) and person.mask is not None
    column = person.mask.raster(6, 8)
    assert column[:, 1:3].all() and column.sum() == 12
    dog, crowd = data.train.instances(1)
    assert isinstance(dog.mask, Polygons) and crowd.hard
    pixels = data.train.pixels(1)
    assert (pixels[:, 0] == VOID).all() and (pixels[1:4, 2:5] == 2).all() and (pixels == 2).sum() == 9


def changed(change: Any) -> dict[str, Any]:
    content = coco_content()
    change(content)
    return content


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "`categories` is no list"),
        (changed(lambda c: c.pop("images")), "`images` is no list"),
        (changed(lambda c: c["images"][1].update(height="6")), "images[1] has no whole number `height`"),
        (changed(lambda c: c["images"][1].update(height=10**6, width=10**6)), "images[1] is 1000000x1000000"),
        (changed(lambda c: c["images"][0].pop("file_name")), "images[0] has no text `file_name`"),
        (changed(lambda c: c["images"][0].update(file_name="../val2017/000.jpg")), "leads out"),
        (changed(lambda c: c["categories"][0].update(id=1)), "categories[1] has the id 1"),
        (changed(lambda c: c.update(categories=[])), "categories has 0 entries"),
        (changed(lambda c: c["annotations"][2].update(image_id=5)), "annotations[2] is of the picture 5"),
        (changed(lambda c: c["annotations"][2].update(category_id=5)), "annotations[2] is of the category 5"),
        (changed(lambda c: c["annotations"][0].update(bbox=[1, 2])), "annotations[0].bbox is not left"),
        (changed(lambda c: c["annotations"][0].update(bbox=[9, 2, 1, 1])), "is not inside"),
        (changed(lambda c: c["annotations"][0].update(bbox=[0, 0, 1, float("inf")])), "is no number"),
        (changed(lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3]])), "is no polygon"),
        (changed(lambda c: c["annotations"][0].update(segmentation=5)), "is neither polygons nor runs"),
        (changed(lambda c: c["annotations"][1]["segmentation"].update(size=[8, 6])), "is neither"),
        (changed(lambda c: c["annotations"][1]["segmentation"].update(counts=[1, 2])), "do not fill"),
        (changed(lambda c: c["annotations"][1]["segmentation"].update(counts=[1, -2])), "no whole number"),
        (changed(lambda c: c["annotations"][1]["segmentation"].update(counts="oooooooooooo")), "none of the COCO"),
        (changed(lambda c: c["annotations"][1]["segmentation"].update(counts="\x00")), "none of the COCO"),
        (changed(lambda c: c["annotations"][1]["segmentation"].update(counts="P")), "ends early"),
    ],
)
def test_wrong_coco_is_named(tmp_path: Path, content: Any, what: str) -> None:
    shown = refused(coco(tmp_path, content))
    assert what in shown and "instances_train2017.json" in shown


def test_other_categories_and_missing_files(tmp_path: Path) -> None:
    assert "different categories" in refused(coco(tmp_path, changed(lambda c: c["categories"][0].update(name="cat"))))
    coco(tmp_path)
    (tmp_path / "annotations" / "instances_val2017.json").unlink()
    assert "has no files `instances_val*.json`" in refused(f"coco:{tmp_path}")


def test_a_picture_of_another_size_is_left_out(tmp_path: Path) -> None:
    name = coco(tmp_path)
    picture(tmp_path / "train2017" / "000.jpg", 5, 5)
    data = open_data(name)
    assert len(data.train) == 1 and "is 5x5, its annotation 8x6" in data.warnings[0].notes[0]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_texts_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["json", "xml"]))
    content = json.dumps(coco_content()) if kind == "json" else annotation(("cat", 0, 1, 1, 8, 6))
    letters = list(content)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(letters) - 1))
        letters[place] = data.draw(st.sampled_from(list('0-9"[]{}<>&;/,:e.\u20ac\0')))
    path = tmp_path / f"file.{kind}"
    path.write_text("".join(letters), encoding="utf-8")
    try:
        read_coco(path) if kind == "json" else read_xml(path)
    except UserError as error:
        assert error.diagnostics[0].code in (Code.DATA_UNREADABLE, Code.LIMIT_SIZE, Code.LIMIT_DEPTH)
