"""A filled-in import sheet."""

import io

import xlsxwriter
from python_calamine import CalamineWorkbook

from devtools.demo.people import fresh_name, fresh_phone


def fill_sample_sheet(template: bytes, people: int = 40) -> bytes:
    """Return the service's template with people in four units, two of which are under a general branch."""
    workbook = CalamineWorkbook.from_filelike(io.BytesIO(template))
    headings = [str(cell) for cell in workbook.get_sheet_by_index(0).to_python()[0]]
    units = ("第一党支部", "第二党支部", "机关党总支/老干部支部", "机关党总支/青年支部")
    filled = io.BytesIO()
    with xlsxwriter.Workbook(filled, {"strings_to_formulas": False}) as book:
        sheet = book.add_worksheet(workbook.sheet_names[0])
        sheet.write_row(0, 0, headings)
        for index in range(people):
            given = {"姓名": fresh_name(), "手机": fresh_phone(), "支部": units[index % len(units)]}
            for column, heading in enumerate(headings):
                sheet.write(index + 1, column, next((text for part, text in given.items() if part in heading), ""))
    return filled.getvalue()
