"""Files that attack: each a few lines that make it, and what Établi must answer.

`python -m tests.slicing.hostile FOLDER` writes them all, so that the process under measurement need not.
"""

from __future__ import annotations

import io
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.slicing.shapes import (
    NAMESPACE,
    a_3mf,
    a_ball,
    a_box,
    ascii_stl,
    binary_stl,
    mesh_xml,
    model_xml,
    obj,
    one_object,
)

BOX = a_box(20, 30, 10)
BOX_XML = one_object(BOX)
MODEL = "3D/3dmodel.model"


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """`answer` is the code of the refusal, or how many triangles an accepted file has."""

    name: str
    make: Callable[[], bytes]
    answer: str | int


def _damaged(value: float) -> bytes:
    triangles = BOX.copy()
    triangles[5, 1, 2] = value
    return binary_stl(triangles)


def _announcing(count: int) -> bytes:
    data = binary_stl(BOX)
    return data[:80] + struct.pack("<I", count) + data[84:]


def _garbage() -> bytes:
    letters = np.random.default_rng(3).integers(97, 123, 400_000, dtype=np.uint8)
    letters[::60] = ord("\n")
    return b"solid x\n" + letters.tobytes()


def _solids() -> bytes:
    text = ascii_stl(a_ball(71))
    return text.replace(b"endfacet\nfacet", b"endfacet\nendsolid thing\nsolid thing\nfacet")


def _soup() -> bytes:
    return binary_stl(np.random.default_rng(1).random((1_000_000, 3, 3)) * 100)


def _collapsed() -> bytes:
    triangles = BOX.copy()
    triangles[:, 2] = triangles[:, 1]
    return binary_stl(triangles)


STL = (
    Hostile(name="announces 4 G triangles.stl", make=lambda: _announcing(2**32 - 1), answer="mesh.truncated"),
    Hostile(name="announces one less.stl", make=lambda: _announcing(11), answer="mesh.truncated"),
    Hostile(name="announces one more.stl", make=lambda: _announcing(13), answer="mesh.truncated"),
    Hostile(name="announces none.stl", make=lambda: bytes(84), answer="mesh.empty"),
    Hostile(name="cut in a triangle.stl", make=lambda: binary_stl(BOX)[:-25], answer="mesh.truncated"),
    Hostile(name="nan.stl", make=lambda: _damaged(np.nan), answer="mesh.not_finite"),
    Hostile(name="infinite.stl", make=lambda: _damaged(-np.inf), answer="mesh.not_finite"),
    Hostile(name="1e38.stl", make=lambda: _damaged(1e38), answer="mesh.not_finite"),
    Hostile(name="solid yet binary.stl", make=lambda: b"solid".ljust(80) + binary_stl(BOX)[80:], answer=12),
    Hostile(name="garbage.stl", make=_garbage, answer="mesh.empty"),
    Hostile(
        name="one line of 40 MB.stl", make=lambda: b"solid " + b"x" * 40_000_000, answer="mesh.unreadable"
    ),
    Hostile(name="20 000 solids.stl", make=_solids, answer=len(a_ball(71))),
    Hostile(name="a million loose triangles.stl", make=_soup, answer="mesh.soup"),
    Hostile(name="no surface.stl", make=_collapsed, answer="mesh.no_surface"),
    Hostile(name="flat.stl", make=lambda: binary_stl(a_box(20, 20, 0)), answer="mesh.flat"),
    Hostile(name="1e-30.stl", make=lambda: binary_stl(BOX * 1e-30), answer="mesh.flat"),
    Hostile(name="20 m.stl", make=lambda: binary_stl(BOX * 1000), answer="mesh.too_large"),
    Hostile(
        name="a corner missing.stl",
        make=lambda: ascii_stl(BOX).replace(b"vertex 20 30 0\n", b"", 1),
        answer="mesh.unreadable",
    ),
    Hostile(
        name="a corner moved.stl",
        make=lambda: (
            ascii_stl(BOX)
            .replace(b"vertex 20 30 0\n", b"", 1)
            .replace(b"endloop\nendfacet\nendsolid", b"vertex 1 2 3\nendloop\nendfacet\nendsolid")
        ),
        answer="mesh.unreadable",
    ),
    Hostile(
        name="cut between facets.stl",
        make=lambda: ascii_stl(BOX).rsplit(b"facet normal", 1)[0],
        answer="mesh.unreadable",
    ),
    Hostile(
        name="1_000.stl",
        make=lambda: ascii_stl(BOX).replace(b"20 30 10", b"2_0 30 10"),
        answer="mesh.unreadable",
    ),
    Hostile(
        name="nan in words.stl",
        make=lambda: ascii_stl(BOX).replace(b"20 30 10", b"1.#QNAN 30 10"),
        answer="mesh.not_finite",
    ),
)


def _bomb() -> bytes:
    return a_3mf(BOX_XML, {"Metadata/notes.txt": b"\n" * 60_000_000})


def _in_a_zip() -> bytes:
    return a_3mf(BOX_XML, {"inner.zip": a_3mf("x", {"innermost.zip": a_3mf("y" * 900_000)})})


def _pointing(data: bytes, name: bytes, field: int, value: bytes) -> bytes:
    """The same archive, with one field of the directory entry of `name` overwritten."""
    at = data.rfind(name) - 46 + field
    return data[:at] + value + data[at + len(value) :]


def _overlapping() -> bytes:
    return _pointing(a_3mf(BOX_XML, {"b": b"b"}), b"b", 42, struct.pack("<I", 0))


def _short_by_its_directory() -> bytes:
    return _pointing(a_3mf(BOX_XML), MODEL.encode(), 24, struct.pack("<I", 600))


def _directory(entries: int, announced: int) -> bytes:
    entry = b"PK\1\2" + bytes(24) + struct.pack("<HHHHHII", 1, 0, 0, 0, 0, 0, 0) + b"x"
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, announced, announced, len(entry) * entries, 30, 0)
    return b"PK\3\4" + bytes(26) + entry * entries + end


def _large_form() -> bytes:
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 46, 2**63 - 1)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, 30, 1)
    return b"PK\3\4" + bytes(26) + record + locator + b"PK\5\6" + b"\xff" * 16 + b"\0\0"


def _encrypted() -> bytes:
    data = bytearray(a_3mf(BOX_XML))
    for mark, shift in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.find(mark) + shift] |= 1
    return bytes(data)


def _packed(method: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr(MODEL, BOX_XML)
    return out.getvalue()


def _link() -> bytes:
    out, link = io.BytesIO(a_3mf(BOX_XML)), zipfile.ZipInfo("3D/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    return out.getvalue()


def _nul_name() -> bytes:
    return a_3mf(BOX_XML, {MODEL + "#.txt": b"x"}).replace(b".model#.txt", b".model\0.txt")


def _repeated(head: str, block: str, times: int, tail: str) -> bytes:
    """A 3MF whose model is huge and yet no zip bomb: incompressible blocks, packed once and repeated."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    first = packer.compress(head.encode()) + packer.flush(zlib.Z_FULL_FLUSH)
    middle = packer.compress(block.encode()) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = first + middle * times + packer.compress(tail.encode()) + packer.flush()
    plain = (head + block * times + tail).encode()
    crc, name = zlib.crc32(plain), MODEL.encode()
    sizes = struct.pack("<HIIIIH", 8, 0, crc, len(packed), len(plain), len(name))
    local = b"PK\3\4" + struct.pack("<HH", 20, 0) + sizes + b"\0\0" + name
    entry = b"PK\1\2" + struct.pack("<HHH", 20, 20, 0) + sizes + bytes(16) + name
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(entry), len(local) + len(packed), 0)
    return local + packed + entry + end


def _six_million_corners() -> bytes:
    block = "".join(
        f'<vertex x="{x}" y="{y}" z="1"/>' for x, y in np.random.default_rng(2).integers(9, 99, (3000, 2))
    )
    head = f'<model xmlns="{NAMESPACE}"><resources><object id="1"><mesh><vertices>'
    return _repeated(head, block, 2000, "")


def _laughing(entities: str, use: str) -> bytes:
    return a_3mf(
        BOX_XML.replace('<?xml version="1.0"?>', f"<!DOCTYPE model [{entities}]>").replace(
            "<build>", use + "<build>"
        )
    )


def _laughs() -> bytes:
    ten = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    return _laughing('<!ENTITY l0 "ha">' + ten, "<metadata>&l9;</metadata>")


def _blow_up() -> bytes:
    return _laughing(f'<!ENTITY a "{"a" * 50_000}">', f"<metadata>{'&a;' * 50_000}</metadata>")


def _reader() -> bytes:
    return _laughing('<!ENTITY x SYSTEM "file:///etc/hostname">', "<metadata>&x;</metadata>")


def _object(number: int, body: str) -> str:
    return f'<object id="{number}">{body}</object>'


def _holding(*numbers: int) -> str:
    return "<components>" + "".join(f'<component objectid="{n}"/>' for n in numbers) + "</components>"


def _built(objects: str, number: int = 1, item: str = "") -> bytes:
    return a_3mf(model_xml(objects, f'<item objectid="{number}" {item}/>'))


def _placed(transform: str) -> bytes:
    return _built(_object(1, mesh_xml(BOX)), item=f'transform="{transform}"')


def _long_attribute() -> bytes:
    return _repeated("<model a='", "".join(f"{n:x}" for n in range(40_000)), 20, "'/>")


def _million_instances() -> bytes:
    objects = _object(1, mesh_xml(BOX)) + "".join(_object(n + 1, _holding(*[n] * 10)) for n in range(1, 7))
    return _built(objects, 7)


def _cycle() -> bytes:
    return _built(_object(1, _holding(2)) + _object(2, _holding(3)) + _object(3, _holding(1)))


def _changed(old: str, new: str) -> bytes:
    assert old in BOX_XML
    return a_3mf(BOX_XML.replace(old, new, 1))


def _lattice() -> bytes:
    beams = (
        '<b:beamlattice minlength="1" radius="1"><b:beams><b:beam v1="0" v2="1"/></b:beams></b:beamlattice>'
    )
    space = 'xmlns:b="http://schemas.microsoft.com/3dmanufacturing/beamlattice/2017/02"'
    corners = '<vertices><vertex x="0" y="0" z="0"/><vertex x="9" y="0" z="0"/></vertices><triangles/>'
    return _built(f'<object id="1"><mesh {space}>{corners}{beams}</mesh></object>')


def _settings(script: str) -> str:
    lines = (
        "generated by PrusaSlicer 2.5.0",
        "layer_height = 0.3",
        f"post_process = {script}",
        "fill_angle = 45",
    )
    return "".join(f"; {line}\n" for line in lines)


def armed(script: str = "/bin/false", name: str = "Metadata/Slic3r_PE.config") -> bytes:
    """Settings that make a careless slicer run a script."""
    return a_3mf(one_object(a_box(10, 10, 2)), {name: _settings(script).encode()})


def amf(script: str = "/bin/false") -> bytes:
    """The older format of the same slicer, which takes settings, and scripts, in the same way."""
    corners = "".join(
        f"<vertex><coordinates><x>{x}</x><y>{y}</y><z>{z}</z></coordinates></vertex>"
        for x, y, z in BOX.reshape(-1, 3)
    )
    faces = "".join(
        f"<triangle><v1>{i}</v1><v2>{i + 1}</v2><v3>{i + 2}</v3></triangle>" for i in range(0, 36, 3)
    )
    body = f"<object id='0'><mesh><vertices>{corners}</vertices><volume>{faces}</volume></mesh></object>"
    settings = f'<metadata type="slic3rpe_config">\n{_settings(script)}</metadata>'
    return f'<?xml version="1.0"?><amf unit="millimeter">{settings}{body}</amf>'.encode()


def zipped_amf(script: str = "/bin/false") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("part.amf", amf(script))
    return out.getvalue()


def _remarks() -> bytes:
    vertex = '<vertex x="20" y="30" z="0"/>'
    return _changed(vertex, "".join(f"<!-- {n:x} <vertex/> -->" for n in range(60_000)) + vertex)


def _encoded(encoding: str, wrong: bytes = b"") -> bytes:
    text = BOX_XML.replace("?>", f' encoding="{encoding}"?>', 1).encode(encoding)
    half = len(text) // 2 // 2 * 2
    return a_3mf(text[:half] + wrong + text[half:])  # type: ignore[arg-type]


def _hidden(before: str, after: str) -> bytes:
    """A row of corners that is no element, ahead of the true one."""
    row = '<vertices><vertex x="1" y="2" z="3"/>' + '<vertex x="7" y="7" z="7"/>' * 200 + "</vertices>"
    return a_3mf(BOX_XML.replace("<vertices>", before + row + after + "<vertices>"))


ARCHIVES = (
    Hostile(name="bomb.3mf", make=_bomb, answer="archive.ratio"),
    Hostile(name="zip in zip in zip.3mf", make=_in_a_zip, answer=12),
    Hostile(name="overlapping entries.3mf", make=_overlapping, answer="archive.lies"),
    Hostile(name="larger than it says.3mf", make=_short_by_its_directory, answer="archive.unreadable"),
    Hostile(name="65 000 entries.3mf", make=lambda: _directory(65_000, 65_000), answer="archive.members"),
    Hostile(name="65 000 entries, says one.3mf", make=lambda: _directory(65_000, 1), answer="archive.lies"),
    Hostile(name="zip64 that points nowhere.3mf", make=_large_form, answer="archive.unreadable"),
    Hostile(name="encrypted.3mf", make=_encrypted, answer="archive.unreadable"),
    Hostile(name="bzip2.3mf", make=lambda: _packed(zipfile.ZIP_BZIP2), answer="archive.unreadable"),
    Hostile(name="lzma.3mf", make=lambda: _packed(zipfile.ZIP_LZMA), answer="archive.unreadable"),
    Hostile(name="symbolic link.3mf", make=_link, answer="archive.lies"),
    Hostile(
        name="parent folder.3mf", make=lambda: a_3mf(BOX_XML, {"3D/../../x": b"x"}), answer="archive.lies"
    ),
    Hostile(name="nul in a name.3mf", make=_nul_name, answer="archive.lies"),
    Hostile(
        name="two by one name.3mf",
        make=lambda: a_3mf(BOX_XML, {"3d/3DModel.model": b"x"}),
        answer="archive.lies",
    ),
    Hostile(name="no model.3mf", make=zipped_amf, answer="archive.lies"),
    Hostile(name="only its end.3mf", make=lambda: b"PK\5\6" + bytes(18), answer="archive.lies"),
)

DOCUMENTS = (
    Hostile(name="billion laughs.3mf", make=_laughs, answer="archive.doctype"),
    Hostile(name="quadratic blow-up.3mf", make=_blow_up, answer="archive.doctype"),
    Hostile(name="external entity.3mf", make=_reader, answer="archive.doctype"),
    Hostile(name="depth.3mf", make=lambda: a_3mf("<a>" * 90_000), answer="mesh.unreadable"),
    Hostile(name="six million corners.3mf", make=_six_million_corners, answer="mesh.too_complex"),
    Hostile(name="a million instances.3mf", make=_million_instances, answer="mesh.too_complex"),
    Hostile(
        name="20 000 objects.3mf",
        make=lambda: _built("".join(_object(n, "") for n in range(20_000))),
        answer="mesh.too_complex",
    ),
    Hostile(name="cycle.3mf", make=_cycle, answer="mesh.cycle"),
    Hostile(name="holds itself.3mf", make=lambda: _built(_object(1, _holding(1))), answer="mesh.cycle"),
    Hostile(name="builds what is not there.3mf", make=lambda: _built("", 5), answer="archive.lies"),
    Hostile(
        name="two objects 1.3mf", make=lambda: _built(_object(1, mesh_xml(BOX)) * 2), answer="archive.lies"
    ),
    Hostile(name="index beyond.3mf", make=lambda: _changed('v1="0"', 'v1="36"'), answer="mesh.index"),
    Hostile(name="index below.3mf", make=lambda: _changed('v1="0"', 'v1="-1"'), answer="mesh.index"),
    Hostile(
        name="index of thirty digits.3mf",
        make=lambda: _changed('v1="0"', f'v1="{"9" * 30}"'),
        answer="mesh.unreadable",
    ),
    Hostile(
        name="nan in a transform.3mf",
        make=lambda: _placed("nan 0 0 0 1 0 0 0 1 0 0 0"),
        answer="mesh.not_finite",
    ),
    Hostile(
        name="short transform.3mf",
        make=lambda: _placed("1 0 0"),
        answer="mesh.unreadable",
    ),
    Hostile(name="no unit.3mf", make=lambda: _changed(' unit="millimeter"', ""), answer=12),
    Hostile(name="parsec.3mf", make=lambda: _changed("millimeter", "parsec"), answer="mesh.unreadable"),
    Hostile(name="only a lattice.3mf", make=_lattice, answer="mesh.empty"),
    Hostile(name="no mesh.3mf", make=lambda: _built(_object(1, "")), answer="mesh.empty"),
    Hostile(name="post_process.3mf", make=armed, answer=12),
    Hostile(
        name="an attribute of 3 MB.3mf",
        make=lambda: _changed('x="20"', f'x="{"9" * 3_000_000}"'),
        answer="archive.ratio",
    ),
    Hostile(
        name="an attribute of 3 MB, packed badly.3mf",
        make=_long_attribute,
        answer="mesh.unreadable",
    ),
    Hostile(name="60 000 remarks.3mf", make=_remarks, answer=12),
    Hostile(name="corners in a remark.3mf", make=lambda: _hidden("<!--", "-->"), answer=12),
    Hostile(name="corners in raw text.3mf", make=lambda: _hidden("<![CDATA[", "]]>"), answer=12),
    Hostile(name="corners of a stranger.3mf", make=lambda: _hidden('<x xmlns="urn:x">', "</x>"), answer=12),
    Hostile(name="utf-16.3mf", make=lambda: _encoded("utf-16"), answer=12),
    Hostile(
        name="utf-16 broken.3mf", make=lambda: _encoded("utf-16", b"\x00\xd8<\0"), answer="mesh.unreadable"
    ),
    Hostile(name="utf-8 broken.3mf", make=lambda: _encoded("utf-8", b"\xff"), answer="mesh.unreadable"),
    Hostile(name="utf-7.3mf", make=lambda: _encoded("utf-7"), answer="mesh.unreadable"),
    Hostile(name="1,5.3mf", make=lambda: _changed('x="20"', 'x="1,5"'), answer="mesh.unreadable"),
    Hostile(name="0x10.3mf", make=lambda: _changed('x="20"', 'x="0x10"'), answer="mesh.unreadable"),
    Hostile(name="1_000.3mf", make=lambda: _changed('x="20"', 'x="1_000"'), answer="mesh.unreadable"),
    Hostile(name="wide digits.3mf", make=lambda: _changed('x="20"', 'x="２０"'), answer="mesh.unreadable"),
    Hostile(name="1e400.3mf", make=lambda: _changed('x="20"', 'x="1e400"'), answer="mesh.not_finite"),
)

SMALL = "v 0 0 0\nv 9 0 0\nv 0 9 0\nv 0 0 9\n"


def _many_faces() -> bytes:
    face = "f " + " ".join("1234"[i % 4] for i in range(64)) + "\n"
    return (SMALL + face * 40_000).encode()


def _long_lines() -> bytes:
    return obj(BOX).replace(b"f 1 2 3\n", b"f \\\n1 \\\n2 \\\n3\n")


OBJ = (
    Hostile(
        name="a face of a million.obj",
        make=lambda: (SMALL + "f " + "1 " * 1_000_000).encode(),
        answer="mesh.unreadable",
    ),
    Hostile(
        name="the same over many lines.obj",
        make=lambda: (SMALL * 60 + "f " + "1 2 3 \\\n" * 300_000).encode(),
        answer="mesh.unreadable",
    ),
    Hostile(
        name="a face of two.obj", make=lambda: (SMALL + "f 1 2 3\nf 1 2\n").encode(), answer="mesh.unreadable"
    ),
    Hostile(name="2.5 M triangles in 5 MB.obj", make=_many_faces, answer="mesh.too_complex"),
    Hostile(name="corner 0.obj", make=lambda: (SMALL + "f 0 1 2\n").encode(), answer="mesh.index"),
    Hostile(
        name="corner 99999999999.obj",
        make=lambda: (SMALL + "f 1 2 99999999999\n").encode(),
        answer="mesh.index",
    ),
    Hostile(name="corner -5.obj", make=lambda: (SMALL + "f -1 -2 -5\n").encode(), answer="mesh.index"),
    Hostile(
        name="corner of thirty digits.obj",
        make=lambda: (SMALL + f"f 1 2 {'9' * 30}\n").encode(),
        answer="mesh.unreadable",
    ),
    Hostile(name="material elsewhere.obj", make=lambda: obj(BOX), answer=12),
    Hostile(name="nan.obj", make=lambda: (SMALL + "v nan 0 0\nf 1 2 5\n").encode(), answer="mesh.not_finite"),
    Hostile(name="lines that go on.obj", make=_long_lines, answer=12),
    Hostile(name="3 M corners.obj", make=lambda: obj(BOX) + b"v 1 1 1\n" * 3_000_000, answer=12),
    Hostile(name="7 M corners.obj", make=lambda: b"v 1 1 1\n" * 7_000_000, answer="mesh.too_complex"),
)

OTHERS = (
    Hostile(
        name="html.stl",
        make=lambda: b"<!DOCTYPE html><html><body>please log in</body>",
        answer="file.type_mismatch",
    ),
    Hostile(
        name="pdf.stl", make=lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", answer="file.type_mismatch"
    ),
    Hostile(name="png.stl", make=lambda: b"\x89PNG\r\n\x1a\n" + bytes(500), answer="file.type_mismatch"),
    Hostile(name="elf.stl", make=lambda: b"\x7fELF\2\1\1" + bytes(500), answer="file.type_mismatch"),
    Hostile(
        name="gzip.stl",
        make=lambda: b"\x1f\x8b\x08" + zlib.compress(binary_stl(BOX)),
        answer="file.type_mismatch",
    ),
    Hostile(name="amf.stl", make=amf, answer="file.type_mismatch"),
    Hostile(
        name="g-code.stl",
        make=lambda: b"G28\nM104 S200\nG1 X10 Y10 E5 F3000\n" * 50,
        answer="gcode.upload_refused",
    ),
    Hostile(name="empty.stl", make=lambda: b"", answer="file.empty"),
    Hostile(name="one byte.stl", make=lambda: b"\0", answer="file.type_mismatch"),
    Hostile(name="one letter.obj", make=lambda: b"v", answer="mesh.unreadable"),
)

ALL = (*STL, *ARCHIVES, *DOCUMENTS, *OBJ, *OTHERS)


def write(folder: Path) -> None:
    """All of them, by their own names."""
    for file in ALL:
        (folder / file.name).write_bytes(file.make())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
