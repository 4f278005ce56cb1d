"""Generated files for import tests: hostile, broken and unusual files, each with the expected result.

`expected` is the slug of the refused upload, the code of the refused sheet, or the result of the rows: `ok`, or the
first problem of each row.
"""

import io
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.members.sheets import HEADER, xlsx

PHONE = "13812345678"
ROW = ("王伟", PHONE, "甲支部")
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


@dataclass(frozen=True)
class Case:
    label: str
    file_name: str
    make: Callable[[], bytes]
    expected: str | Sequence[str]


def part(*names: str) -> Callable[[Callable[[bytes], bytes]], bytes]:
    """Return a function that builds a valid workbook with these zip parts changed, or added if they are new."""

    def changed(change: Callable[[bytes], bytes]) -> bytes:
        source = zipfile.ZipFile(io.BytesIO(xlsx([ROW])))
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
            for name in dict.fromkeys([*source.namelist(), *names]):
                old = source.read(name) if name in source.namelist() else b""
                packed.writestr(name, change(old) if name in names else old)
        return content.getvalue()

    return changed


SHEET = "xl/worksheets/sheet1.xml"


def make_sheet(rows: str, before: str = "", after: str = "") -> bytes:
    """Return a workbook whose sheet has these rows, as XML, under the header in row 1."""
    header = "".join(text_cell(f"{column}1", name) for column, name in zip("ABC", HEADER, strict=True))
    xml = f'{before}<worksheet xmlns="{MAIN}"><sheetData><row r="1">{header}</row>{rows}</sheetData>{after}</worksheet>'
    return part(SHEET)(lambda _: xml.encode("utf-8", "surrogatepass"))


def text_cell(reference: str, text: str) -> str:
    return f'<c r="{reference}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


def make_row(name: str = ROW[0], phone: str = PHONE, unit: str = ROW[2], number: int = 2, attributes: str = "") -> str:
    cells = "".join(
        text_cell(f"{column}{number}", text) for column, text in zip("ABC", (name, phone, unit), strict=True)
    )
    return f'<row r="{number}" {attributes}>{cells}</row>'


def workbook(sheets: Sequence[tuple[str, Sequence[Sequence[str]]]], hide: Sequence[int] = (), merge: str = "") -> bytes:
    """Return a workbook of several sheets with these rows; `hide` lists the hidden sheets, `merge` the merged cells."""
    import xlsxwriter

    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, {"in_memory": True})
    for number, (name, rows) in enumerate(sheets):
        sheet = book.add_worksheet(name)
        for row_no, row in enumerate(rows):
            sheet.write_row(row_no, 0, row)
        if number in hide:
            sheet.hide()
        if merge and number == 0:
            sheet.merge_range(merge, rows[0][0])
    if 0 in hide:
        book.worksheets()[-1].activate()
        book.worksheets()[-1].set_first_sheet()
    book.close()
    return content.getvalue()


def csv_of(rows: Sequence[Sequence[str]] = (ROW,), encoding: str = "utf-8-sig", delimiter: str = ",") -> bytes:
    return "\r\n".join(delimiter.join(row) for row in [HEADER, *rows]).encode(encoding, "surrogatepass")


def make_zip(entries: Sequence[tuple[str, bytes]]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in entries:
            packed.writestr(name, data)
    return content.getvalue()


def ods(rows: str) -> bytes:
    """Return an OpenDocument sheet with these table rows, as XML, under the header."""
    header = "".join(ods_cell(name) for name in HEADER)
    names = " ".join(
        f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{short}:1.0"' for short in ("office", "table", "text")
    )
    xml = (
        f"<office:document-content {names}><office:body><office:spreadsheet><table:table table:name='人员'>"
        f"<table:table-row>{header}</table:table-row>{rows}</table:table></office:spreadsheet></office:body>"
        "</office:document-content>"
    )
    kind = b"application/vnd.oasis.opendocument.spreadsheet"
    manifest = b'<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    return make_zip([("mimetype", kind), ("content.xml", xml.encode()), ("META-INF/manifest.xml", manifest)])


def ods_cell(text: str) -> str:
    return f'<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>'


def ods_row(attributes: str = "") -> str:
    return f"<table:table-row {attributes}>{''.join(map(ods_cell, ROW))}</table:table-row>"


def xls(
    rows: Sequence[Sequence[str]] = (HEADER, ROW),
    hide: int | None = None,
    errors: Mapping[str, int] | None = None,
    size: int = 4096,
) -> bytes:
    """Return a minimal BIFF8 workbook in a compound file, of at least `size` bytes.

    `hide` is the index of a hidden row; `errors` has the codes of the error values that have these texts.
    """
    errors = errors or {}

    def record(kind: int, data: bytes) -> bytes:
        return struct.pack("<HH", kind, len(data)) + data

    begin = struct.pack("<HHHHLL", 0x0600, 0x0005, 0x0DBB, 0x07CC, 0, 6)
    sheet = record(0x0809, begin[:2] + struct.pack("<H", 0x0010) + begin[4:])
    if hide is not None:
        sheet += record(0x0208, struct.pack("<HHHHLL", hide, 0, 3, 255, 0, 0x120))
    for row_no, row in enumerate(rows):
        for column, text in enumerate(row):
            if text in errors:
                sheet += record(0x0205, struct.pack("<HHHBB", row_no, column, 0, errors[text], 1))
                continue
            body = struct.pack("<HHHHB", row_no, column, 0, len(text), 1) + text.encode("utf-16-le")
            sheet += record(0x0204, body)
    sheet += record(0x000A, b"")
    name = "人员".encode("utf-16-le")
    bound = struct.pack("<LBBBB", 0, 0, 0, 2, 1) + name
    length = len(record(0x0809, begin)) + 4 + len(bound) + 4
    stream = record(0x0809, begin)
    stream += record(0x0085, struct.pack("<L", length) + bound[4:]) + record(0x000A, b"")
    stream = (stream + sheet).ljust(size, b"\0")
    return compound("Workbook", stream)


def compound(name: str, stream: bytes) -> bytes:
    """Return a compound file (OLE2) with one stream. A stream of less than 4,096 bytes is in the mini stream."""
    end, short = 0xFFFFFFFE, len(stream) < 4096
    if short:
        count = -(-len(stream) // 64)
        mini = struct.pack(f"<{count}L", *range(1, count), end).ljust(512, b"\xff")
        body, start, root = mini + stream, 0, (3, count * 64)
    else:
        body, start, root = stream, 2, (end, 0)
    sectors = -(-len(body) // 512)
    fat = [0xFFFFFFFD, end, *([end] if short else ()), *range(4 if short else 3, 2 + sectors), end]
    table = struct.pack(f"<{len(fat)}L", *fat).ljust(512, b"\xff")
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<LLLLLLLLLL", 0, 1, 1, 0, 4096, 2 if short else end, int(short), end, 0, 0)
    header += b"\xff" * (512 - len(header))

    def entry(title: str, kind: int, child: int, start: int, size: int) -> bytes:
        text = (title + "\0").encode("utf-16-le")
        return (
            text.ljust(64, b"\0")
            + struct.pack("<HBBLLL", len(text) if title else 0, kind, 1, 0xFFFFFFFF, 0xFFFFFFFF, child)
            + bytes(36)
            + struct.pack("<LQ", start, size)
        )

    directory = entry("Root Entry", 5, 1, *root) + entry(name, 2, 0xFFFFFFFF, start, len(stream))
    directory += 2 * entry("", 0, 0xFFFFFFFF, 0, 0)
    return header + table + directory + body.ljust(sectors * 512, b"\0")


def make_false_size(unpacked: int) -> bytes:
    """Return a workbook whose zip directory gives this false unpacked size for a part."""
    content = bytearray(part("xl/media/image1.png")(lambda _: b"x"))
    at = content.rfind(b"PK\x01\x02")
    struct.pack_into("<L", content, at + 24, unpacked)
    return bytes(content)


def make_larger_than_declared(than: int, name: str = "xl/media/image1.png") -> bytes:
    """Return a workbook whose zip directory gives a too small unpacked size for a large part."""
    content = bytearray(part(name)(lambda _: bytes(1 << 20)))
    at = content.rfind(b"PK\x01\x02")
    struct.pack_into("<L", content, at + 24, than)
    return bytes(content)


def make_wrong_checksum() -> bytes:
    content = bytearray(xlsx([ROW]))
    at = content.rfind(b"PK\x01\x02")
    content[at + 16] ^= 0xFF
    return bytes(content)


def make_encrypted_flag() -> bytes:
    content = bytearray(xlsx([ROW]))
    at = content.find(b"PK\x01\x02")
    content[at + 8] |= 1
    return bytes(content)


ENTITIES = (
    '<!DOCTYPE w [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY a{level} "{f"&a{level - 1};" * 10 if level > 1 else "&a;" * 10}">' for level in range(1, 10))
    + "]>"
)
EXTERNAL = '<!DOCTYPE w [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
FORMULA = '<row r="2"><c r="A2" t="str"><f>HYPERLINK("http://example.org")</f>{}</c>{}</row>'
REST = text_cell("B2", PHONE) + text_cell("C2", "甲支部")

AT_UPLOAD = [
    Case("empty", "a.xlsx", lambda: b"", "file-empty"),
    Case("a text file", "a.txt", lambda: b"x", "file-type-unknown"),
    Case("no extension", "members", lambda: xlsx([ROW]), "file-type-unknown"),
    Case("macro workbook", "a.xlsm", lambda: xlsx([ROW]), "file-type-unknown"),
    Case("xls as xlsx", "a.xlsx", xls, "file-renamed"),
    Case("csv as xlsx", "a.xlsx", csv_of, "file-renamed"),
    Case("csv as xls", "a.xls", csv_of, "file-renamed"),
    Case("zip as xlsx", "a.xlsx", lambda: make_zip([("a.txt", b"a")]), "file-renamed"),
    Case("empty zip as xlsx", "a.xlsx", lambda: make_zip([]), "file-renamed"),
    Case("docx as xlsx", "a.xlsx", lambda: make_zip([("word/document.xml", b"<a/>")]), "file-renamed"),
    Case("ods as xlsx", "a.xlsx", lambda: ods(ods_row()), "file-renamed"),
    Case("xlsx as ods", "a.ods", lambda: xlsx([ROW]), "file-renamed"),
    Case("xlsx as csv", "a.csv", lambda: xlsx([ROW]), "file-renamed"),
    Case("xlsx as xls", "a.xls", lambda: xlsx([ROW]), "file-renamed"),
    Case("pdf as csv", "a.csv", lambda: b"%PDF-1.7 ...", "file-renamed"),
    Case("encrypted xlsx", "a.xlsx", lambda: compound("EncryptedPackage", bytes(8192)), "file-encrypted"),
    Case("encrypted part", "a.xlsx", make_encrypted_flag, "file-encrypted"),
    Case("truncated", "a.xlsx", lambda: xlsx([ROW])[:-200], "file-damaged"),
    Case("half of it", "a.xlsx", lambda: xlsx([ROW])[: len(xlsx([ROW])) // 2], "file-damaged"),
    Case("ratio bomb", "a.xlsx", lambda: part("xl/media/a.bin")(lambda _: bytes(30 << 20)), "file-bomb"),
    Case("claims 4 GB", "a.xlsx", lambda: make_false_size(0xFFFFFFF0), "file-bomb"),
    Case("entry bomb", "a.xlsx", lambda: part(*(f"x/{n}" for n in range(1100)))(lambda _: b"x"), "file-bomb"),
]

BY_CHECK = [
    Case("DTD", "a.xlsx", lambda: make_sheet(make_row(), before="<!DOCTYPE w>"), "file-has-dtd"),
    Case("billion laughs", "a.xlsx", lambda: make_sheet(make_row("&a9;"), before=ENTITIES), "file-has-dtd"),
    Case("XXE", "a.xlsx", lambda: make_sheet(make_row("&x;"), before=EXTERNAL), "file-has-dtd"),
    Case(
        "XXE in workbook",
        "a.xlsx",
        lambda: part("xl/workbook.xml")(lambda old: EXTERNAL.encode() + old),
        "file-has-dtd",
    ),
    Case(
        "cell at XFD1048576",
        "a.xlsx",
        lambda: make_sheet(make_row() + f'<row r="1048576">{text_cell("XFD1048576", "x")}</row>'),
        "file-exhausting",
    ),
    Case(
        "a million rows",
        "a.xlsx",
        lambda: make_sheet("".join(f"<row><c><v>{n * 7919}</v></c></row>" for n in range(2000)) * 500),
        "too-many-rows",
    ),
    Case("unpacks to more than it says", "a.xlsx", lambda: make_larger_than_declared(100, "x.xml"), "file-damaged"),
    Case("too many rows", "a.csv", lambda: csv_of([ROW]) + b"\r\n,1,\r\n" * 200_001, "too-many-rows"),
    Case(
        "ods row a million times",
        "a.ods",
        lambda: ods(ods_row('table:number-rows-repeated="1048000"')),
        "too-many-rows",
    ),
    Case("header missing", "a.xlsx", lambda: xlsx([ROW], header=("姓名", "手机号码", "籍贯")), "header-missing"),
    Case("other headers", "a.xlsx", lambda: xlsx([ROW], header=("first", "second", "third")), "header-missing"),
    Case(
        "two columns for the phone",
        "a.xlsx",
        lambda: xlsx([(*ROW, "x")], header=("姓名", "联系电话", "支部名称", "联系方式")),
        "header-ambiguous",
    ),
    Case("header doubled", "a.xlsx", lambda: xlsx([(*ROW, "x")], header=(*HEADER, "姓名")), "header-doubled"),
    Case(
        "header merged",
        "a.xlsx",
        lambda: workbook([("a", [("姓名", "", "手机号码", "支部名称")])], merge="A1:B1"),
        "header-merged",
    ),
    Case("no header", "a.csv", lambda: b",,\r\n", "header-missing"),
    Case("no rows", "a.xlsx", lambda: xlsx([]), "no-rows"),
    Case("no rows in csv", "a.csv", lambda: csv_of([]), "no-rows"),
    Case(
        "empty sheet",
        "a.xlsx",
        lambda: part(SHEET)(lambda _: f'<worksheet xmlns="{MAIN}"><sheetData/></worksheet>'.encode()),
        "header-missing",
    ),
    Case(
        "only a hidden sheet has it",
        "a.xlsx",
        lambda: workbook([("a", [HEADER, ROW]), ("b", [("x",)])], hide=[0]),
        "header-missing",
    ),
    Case(
        "no sheet",
        "a.xlsx",
        lambda: part("xl/workbook.xml")(lambda _: f'<workbook xmlns="{MAIN}"><sheets/></workbook>'.encode()),
        "no-sheet",
    ),
    Case(
        "sheet part missing",
        "a.xlsx",
        lambda: part("xl/_rels/workbook.xml.rels")(lambda old: old.replace(b"sheet1.xml", b"sheet9.xml")),
        "file-damaged",
    ),
    Case("broken XML", "a.xlsx", lambda: part(SHEET)(lambda old: old[: len(old) // 2]), "file-damaged"),
    Case("binary as XML", "a.xlsx", lambda: part(SHEET)(lambda _: bytes(range(256)) * 40), "file-damaged"),
    Case(
        "string index out of range",
        "a.xlsx",
        lambda: make_sheet('<row r="2"><c r="A2" t="s"><v>999999</v></c></row>'),
        "file-damaged",
    ),
    Case(
        "impossible reference",
        "a.xlsx",
        lambda: make_sheet('<row r="2"><c r="ZZZZZZ99999999999"><v>1</v></c></row>'),
        "file-damaged",
    ),
    Case("lone surrogate", "a.xlsx", lambda: make_sheet(make_row("&#xD800;")), "file-damaged"),
    Case("NUL reference", "a.xlsx", lambda: make_sheet(make_row("a&#0;b")), "file-damaged"),
    Case("wrong checksum", "a.xlsx", make_wrong_checksum, "file-damaged"),
    Case("damaged xls", "a.xls", lambda: xls()[:1024] + b"\xff" * 4096, "file-damaged"),
    Case("truncated xls", "a.xls", lambda: xls()[:1500], "file-damaged"),
    Case("csv in no known encoding", "a.csv", lambda: csv_of() + b"\r\n\xff\xff\xff,\x80,\x80", "encoding-unknown"),
    Case("lone surrogate in csv", "a.csv", lambda: csv_of([("a\ud800", PHONE, "甲")], "utf-8"), "encoding-unknown"),
    Case("an endless field", "a.csv", lambda: csv_of() + b'\r\n"' + b"x" * (2 << 20), "file-damaged"),
    Case("ten thousand columns", "a.csv", lambda: b"," * 10_000 + b"\r\n" + csv_of(), "file-damaged"),
]

BY_ROW = [
    Case("plain", "a.xlsx", lambda: xlsx([ROW]), "ok"),
    Case("xls", "a.xls", xls, "ok"),
    Case("ods", "a.ods", lambda: ods(ods_row()), "ok"),
    Case("csv UTF-8 BOM", "a.csv", csv_of, "ok"),
    Case("csv UTF-8", "a.csv", lambda: csv_of(encoding="utf-8"), "ok"),
    Case("csv GB18030", "a.csv", lambda: csv_of(encoding="gb18030"), "ok"),
    Case("csv UTF-16", "a.csv", lambda: csv_of(encoding="utf-16"), "ok"),
    Case("csv tabs", "A.CSV", lambda: csv_of(delimiter="\t"), "ok"),
    Case("csv semicolons", "a.csv", lambda: csv_of(delimiter=";"), "ok"),
    Case(
        "title above the header",
        "a.xlsx",
        lambda: workbook([("a", [("花名册",), (), HEADER, ROW])], merge="A1:C1"),
        "ok",
    ),
    Case("two sheets", "a.xlsx", lambda: workbook([("a", [HEADER, ROW]), ("b", [HEADER, ROW])]), "ok"),
    Case("picture larger than it says", "a.xlsx", lambda: make_larger_than_declared(100), "ok"),
    Case("second sheet", "a.xlsx", lambda: workbook([("说明", [("读我",)]), ("b", [HEADER, ROW])]), "ok"),
    Case("columns in another order", "a.xlsx", lambda: xlsx([("x", *ROW[::-1])], header=("备注", *HEADER[::-1])), "ok"),
    Case("row 1048576", "a.xlsx", lambda: make_sheet(make_row(number=1048576)), "ok"),
    Case("macro inside", "a.xlsx", lambda: part("xl/vbaProject.bin")(lambda _: b"\xd0\xcf\x11\xe0" * 100), "ok"),
    Case(
        "external link",
        "a.xlsx",
        lambda: part("xl/externalLinks/externalLink1.xml")(
            lambda _: b'<externalLink><file href="http://192.0.2.1/"/></externalLink>'
        ),
        "ok",
    ),
    Case("path traversal", "a.xlsx", lambda: part("../../../../tmp/evil")(lambda _: b"x"), "ok"),
    Case("formula with its value", "a.xlsx", lambda: make_sheet(FORMULA.format("<v>王伟</v>", REST)), "ok"),
    Case("formula without a value", "a.xlsx", lambda: make_sheet(FORMULA.format("", REST)), ["name-missing"]),
    Case(
        "error cell",
        "a.xlsx",
        lambda: make_sheet(f'<row r="2"><c r="A2" t="e"><v>#REF!</v></c>{REST}</row>'),
        ["cell-error"],
    ),
    Case(
        "formula as text",
        "a.csv",
        lambda: csv_of([("=cmd|' /C calc'!A0", PHONE, "甲"), ("@SUM(1)", "13912345678", "甲")]),
        ["name-formula"] * 2,
    ),
    Case("NUL as _x0000_", "a.xlsx", lambda: make_sheet(make_row("王_x0000_伟")), ["name-unshowable"]),
    Case("NUL in csv", "a.csv", lambda: csv_of([("王\0伟", PHONE, "甲")]), ["name-unshowable"]),
    Case("control", "a.xlsx", lambda: make_sheet(make_row("王_x0007_伟", unit="甲_x001b_")), ["name-unshowable"]),
    Case("bidi", "a.csv", lambda: csv_of([("王\u202e伟", PHONE, "甲")]), ["name-unshowable"]),
    Case("bidi in unit", "a.csv", lambda: csv_of([("王伟", PHONE, "甲\u2066乙")]), ["unit-unshowable"]),
    Case("rare Han and emoji", "a.csv", lambda: csv_of([("𠮷𪚥🙂", PHONE, "𠮷支部🌟")]), "ok"),
    Case("500 characters", "a.xlsx", lambda: make_sheet(make_row("名" * 500)), ["name-too-long"]),
    Case("a cell of a megabyte", "a.xlsx", lambda: make_sheet(make_row("名" * 350_000)), ["name-too-long"]),
    Case("long unit", "a.csv", lambda: csv_of([("王伟", PHONE, "支" * 101)]), ["unit-too-long"]),
    Case("deep unit", "a.csv", lambda: csv_of([("王伟", PHONE, "/".join("一二三四五六七"))]), ["unit-too-deep"]),
    Case("formula as unit", "a.csv", lambda: csv_of([("王伟", PHONE, "=1")]), ["unit-formula"]),
    Case("only separators as unit", "a.csv", lambda: csv_of([("王伟", PHONE, " / ／ ")]), ["unit-missing"]),
    Case(
        "phone as number",
        "a.xlsx",
        lambda: make_sheet(
            f'<row r="2">{text_cell("A2", "王伟")}<c r="B2"><v>13812345678</v></c>{text_cell("C2", "甲")}</row>'
        ),
        "ok",
    ),
    Case(
        "phones as people type them",
        "a.csv",
        lambda: csv_of(
            [
                (f"王{number}", typed, "甲")
                for number, typed in enumerate(
                    (
                        f"\u200b{PHONE}\ufeff",
                        "１３９１２３４５６７８",
                        "+86 137-1234-5678",
                        "008613612345678",
                        "8613512345678",
                        "013412345678",
                        "  15012345678 \u3000\t",
                        "15112345678.0",
                        "'15212345678",
                        "(+86)15312345678",
                        "１５９ 1234 5678",
                    )
                )
            ]
        ),
        "ok",
    ),
    Case(
        "what is no phone",
        "a.csv",
        lambda: csv_of(
            [
                ("王伟", typed, "甲")
                for typed in (
                    "1.38E+10",
                    "02584567890",
                    "+852 2123 4567",
                    "1381234567",
                    "一三八",
                    "12812345678",
                    "1" * 500,
                )
            ]
        ),
        ["phone-scientific", "phone-landline", "phone-landline", "phone-too-short", *["phone-invalid"] * 3],
    ),
    Case("hidden row", "a.xlsx", lambda: make_sheet(make_row(attributes='hidden="1"')), "ok"),
    Case("hidden row in ods", "a.ods", lambda: ods(ods_row('table:visibility="collapse"')), "ok"),
    Case("row filtered away in ods", "a.ods", lambda: ods(ods_row('table:visibility="filter"')), "ok"),
    Case("hidden row in xls", "a.xls", lambda: xls(hide=1), "ok"),
    Case("short rows", "a.csv", lambda: csv_of([("王伟",), (), ("王伟", PHONE)]), ["phone-missing", "unit-missing"]),
    Case("one name, one phone, two units", "a.csv", lambda: csv_of([ROW, ("王　伟", PHONE, "乙")]), "ok"),
    Case("one phone, two names", "a.csv", lambda: csv_of([ROW, ("李娜", PHONE, "乙")]), ["phone-has-two-names"] * 2),
]
